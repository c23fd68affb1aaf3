//! The declaration of an operation's kernels.

/// Declares the kernels of an operation as a trait, which each device implements, and implements
/// the trait for the [`Profiler`](crate::Profiler), which passes every call on to the device that
/// it measures.
///
/// ```ignore
/// kernels! {
///     /// Kernels of products.
///     pub trait LinearKernels {
///         /// `d_input (+)= d_output * weight`.
///         #[flops(product_flops(d_output.rows, weight))]
///         fn linear_input_gradient(
///             &self,
///             d_output: View<'_>,
///             weight: View<'_>,
///             d_input: ViewMut<'_>,
///             accumulate: bool,
///         );
///     }
/// }
/// ```
///
/// `#[flops(...)]` is an `f64` computed from the arguments: the floating-point operations of the
/// kernel's matrix products, two per multiplication. It is left out where there are none. Every
/// kernel takes `&self` and named arguments.
macro_rules! kernels {
    (
        $(#[doc = $about:expr])*
        pub trait $kernels:ident {
            $(
                $(#[doc = $doc:expr])*
                $(#[flops($flops:expr)])?
                fn $kernel:ident(&self $(, $argument:ident: $type:ty)* $(,)?) $(-> $result:ty)?;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[allow(clippy::too_many_arguments)]
        pub trait $kernels {
            $(
                $(#[doc = $doc])*
                fn $kernel(&self $(, $argument: $type)*) $(-> $result)?;
            )*
        }

        impl $kernels for $crate::Profiler {
            $(
                fn $kernel(&self $(, $argument: $type)*) $(-> $result)? {
                    let flops = 0.0 $(+ $flops)?;
                    self.measure(stringify!($kernel), flops, |device| {
                        device.$kernel($($argument),*)
                    })
                }
            )*
        }
    };
}
pub(crate) use kernels;
