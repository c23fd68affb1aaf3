//! Layers of experts, for which there are no kernels on a GPU yet: models with experts are refused
//! before they get here ([`Device::computes_experts`](crate::Device::computes_experts)).

use super::Cuda;
use crate::Device;
use crate::fault::{Fault, raise};
use crate::ops::experts::ExpertKernels;
use crate::ops::router::RouterKernels;
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

impl Cuda {
    fn refuse_experts(&self) -> ! {
        raise(Fault::Unsupported {
            device: self.name(),
            what: "layers of experts are computed on the CPU only".to_owned(),
        })
    }
}

impl RouterKernels for Cuda {
    fn router(&self, _: View<'_>, _: View<'_>, _: ViewMut<'_>) {
        self.refuse_experts()
    }

    fn router_input_gradient(&self, _: View<'_>, _: View<'_>, _: ViewMut<'_>, _: bool) {
        self.refuse_experts()
    }

    fn router_weight_gradient(&self, _: View<'_>, _: View<'_>, _: ViewMut<'_>) {
        self.refuse_experts()
    }

    fn jitter(&self, _: View<'_>, _: DropoutMask, _: ViewMut<'_>, _: bool) {
        self.refuse_experts()
    }
}

impl ExpertKernels for Cuda {
    fn combine_experts(
        &self,
        _: View<'_>,
        _: &[u32],
        _: &[f32],
        _: Option<View<'_>>,
        _: ViewMut<'_>,
    ) {
        self.refuse_experts()
    }

    fn combine_experts_gradient(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: &[u32],
        _: &[f32],
        _: ViewMut<'_>,
        _: &mut [f32],
    ) {
        self.refuse_experts()
    }
}
