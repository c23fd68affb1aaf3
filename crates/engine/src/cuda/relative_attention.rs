//! Relative attention, attention with a bias of distances, and what their models need besides, for
//! which there are no kernels on a GPU yet: models with them are refused before they get here
//! ([`Device::computes_relative_attention`](crate::Device::computes_relative_attention)).

use super::Cuda;
use crate::Device;
use crate::fault::{Fault, raise};
use crate::ops::attention::AttentionSpan;
use crate::ops::attention_pooling::AttentionPoolingKernels;
use crate::ops::biased_attention::{BiasedAttentionKernels, BiasedHeads};
use crate::ops::geglu::GegluKernels;
use crate::ops::relative_attention::{RelativeAttentionKernels, RelativeHeads};
use crate::ops::scale::ScaleKernels;
use crate::spans::Spans;
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

impl Cuda {
    fn refuse_relative_attention(&self) -> ! {
        raise(Fault::Unsupported {
            device: self.name(),
            what: "relative attention and its models are computed on the CPU only".to_owned(),
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

impl BiasedAttentionKernels for Cuda {
    fn biased_attention(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: Option<View<'_>>,
        _: &[AttentionSpan],
        _: &BiasedHeads,
        _: Option<DropoutMask>,
        _: ViewMut<'_>,
        _: Option<ViewMut<'_>>,
    ) {
        self.refuse_relative_attention()
    }

    fn biased_attention_gradient(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: View<'_>,
        _: Option<View<'_>>,
        _: View<'_>,
        _: View<'_>,
        _: &[AttentionSpan],
        _: &BiasedHeads,
        _: Option<DropoutMask>,
        _: ViewMut<'_>,
        _: ViewMut<'_>,
        _: Option<ViewMut<'_>>,
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

impl AttentionPoolingKernels for Cuda {
    fn attention_pooling(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: &Spans,
        _: ViewMut<'_>,
        _: ViewMut<'_>,
    ) {
        self.refuse_relative_attention()
    }

    fn attention_pooling_gradient(
        &self,
        _: View<'_>,
        _: View<'_>,
        _: View<'_>,
        _: &Spans,
        _: ViewMut<'_>,
        _: ViewMut<'_>,
    ) {
        self.refuse_relative_attention()
    }
}

impl ScaleKernels for Cuda {
    fn scale(&self, _: View<'_>, _: f32, _: ViewMut<'_>) {
        self.refuse_relative_attention()
    }
}
