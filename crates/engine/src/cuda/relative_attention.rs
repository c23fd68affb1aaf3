//! Relative attention, GeGLU, mixtures of states and products value by value, for which there are
//! no kernels on a GPU yet: models with them are refused before they get here
//! ([`Device::computes_relative_attention`](crate::Device::computes_relative_attention)).

use super::Cuda;
use crate::Device;
use crate::fault::{Fault, raise};
use crate::ops::attention::AttentionSpan;
use crate::ops::geglu::GegluKernels;
use crate::ops::mixture::MixtureKernels;
use crate::ops::multiply::MultiplyKernels;
use crate::ops::relative_attention::{RelativeAttentionKernels, RelativeHeads};
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

impl Cuda {
    fn refuse_relative_attention(&self) -> ! {
        raise(Fault::Unsupported {
            device: self.name(),
            what: "models with relative attention are computed on the CPU only".to_owned(),
        })
    }
}

impl RelativeAttentionKernels for Cuda {
    fn relative_attention(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: &[AttentionSpan],
        _: &RelativeHeads,
        _: Option<DropoutMask>,
        _: ViewMut<'_>,
        _: Option<ViewMut<'_>>,
    ) {
        self.refuse_relative_attention()
    }

    fn relative_attention_gradient(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: View<'_>,
        _: View<'_>,
        _: View<'_>,
        _: &[AttentionSpan],
        _: &RelativeHeads,
        _: Option<DropoutMask>,
        _: ViewMut<'_>,
        _: ViewMut<'_>,
    ) {
        self.refuse_relative_attention()
    }
}

impl GegluKernels for Cuda {
    fn geglu(&self, _: View<'_>, _: ViewMut<'_>) {
        self.refuse_relative_attention()
    }

    fn geglu_gradient(&self, _: View<'_>, _: View<'_>, _: ViewMut<'_>) {
        self.refuse_relative_attention()
    }
}

impl MultiplyKernels for Cuda {
    fn multiply(&self, _: View<'_>, _: View<'_>, _: ViewMut<'_>, _: bool) {
        self.refuse_relative_attention()
    }
}

impl MixtureKernels for Cuda {
    fn mixture(&self, _: &[View<'_>], _: View<'_>, _: bool, _: ViewMut<'_>) {
        self.refuse_relative_attention()
    }

    fn mixture_state_gradient(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: bool,
        _: usize,
        _: ViewMut<'_>,
        _: bool,
    ) {
        self.refuse_relative_attention()
    }

    fn mixture_weights_gradient(
        &self,
        _: View<'_>,
        _: &[View<'_>],
        _: View<'_>,
        _: bool,
        _: ViewMut<'_>,
    ) {
        self.refuse_relative_attention()
    }
}
