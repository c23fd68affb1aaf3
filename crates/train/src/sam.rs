//! Sharpness-aware minimisation (Foret et al., arXiv 2010.01412; adaptive: Kwon et al., arXiv
//! 2102.11600), as github.com/davda54/sam computes it.

use engine::{Parameters, Tensor};

use crate::settings::SamSettings;

/// The climb of a step: `rho` along the gradient, or adaptively `rho` along the gradient times the
/// squares of the weights, in the scale of the weights. Returns the weights as they were; `Err` has
/// the norm that is not finite, and nothing has changed.
pub(crate) fn climb(
    parameters: &mut Parameters,
    gradients: &Parameters,
    sam: SamSettings,
    gradient_norm: f64,
) -> Result<Tensor, f64> {
    let device = parameters.device().clone();
    let (values, gradients) = (parameters.values_mut(), gradients.values());
    let norm = match sam.adaptive {
        true => device.sum_of_squared_products(values, gradients).sqrt(),
        false => gradient_norm,
    };
    let scale = (sam.rho / (norm + 1e-12)) as f32;
    if !norm.is_finite() || !scale.is_finite() {
        return Err(norm);
    }
    let before = values.clone();
    device.climb(values, gradients, scale, sam.adaptive);
    Ok(before)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;
    use engine::{Device, Layout, Role};

    use super::*;
    use crate::optimizers::GroupedOptimizer;
    use crate::settings::TrainSettings;

    /// `f(w, v) = w0^4 / 4 + (w1 v - 1)^2 / 2`.
    fn gradient([w0, w1, v]: [f64; 3]) -> [f64; 3] {
        let rest = w1 * v - 1.0;
        [w0.powi(3), v * rest, w1 * rest]
    }

    struct Toy {
        weights: Parameters,
        gradients: Parameters,
    }

    impl Toy {
        fn new() -> Self {
            let device: Arc<dyn Device> = Arc::new(Cpu::new());
            let mut layout = Layout::default();
            layout.add("w", 1, 2, Role::Matrix);
            layout.add("v", 1, 1, Role::Matrix);
            let layout = Arc::new(layout);
            let mut weights = Parameters::zeros(&device, layout.clone());
            device.write(weights.values_mut().view_mut(), &[1.0, -2.0, 3.0]);
            Self { weights, gradients: Parameters::zeros(&device, layout) }
        }

        fn values(&self) -> [f64; 3] {
            let values = self.weights.values().to_vec();
            [values[0] as f64, values[1] as f64, values[2] as f64]
        }

        fn find_gradient(&mut self) -> f64 {
            let found = gradient(self.values()).map(|value| value as f32);
            let device = self.weights.device().clone();
            device.write(self.gradients.values_mut().view_mut(), &found);
            device.sum_of_squares(self.gradients.values()).sqrt()
        }

        /// The climb and the gradient there; the weights are back afterwards.
        fn climb(&mut self, sam: SamSettings) -> [f64; 3] {
            let norm = self.find_gradient();
            let before = climb(&mut self.weights, &self.gradients, sam, norm).unwrap();
            let there = self.values();
            self.find_gradient();
            *self.weights.values_mut() = before;
            there
        }
    }

    fn assert_near(found: [f64; 3], expected: [f64; 3]) {
        let pairs = found.iter().zip(&expected);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 5e-7), "{found:?}, not {expected:?}");
    }

    /// Values of the reference implementation on torch 2.15 in double precision.
    #[test]
    fn two_steps_of_gradient_descent_are_those_of_the_reference() {
        let plain = SamSettings { rho: 0.05, ..SamSettings::default() };
        let adaptive = SamSettings { rho: 0.5, adaptive: true, ..plain };
        for (sam, climbed, after) in [
            (
                plain,
                [1.001979519, -2.0415698981, 3.0277132654],
                &[
                    [0.9899404968, -1.7825711826, 2.8533889805],
                    [0.9801695266, -1.6024214619, 2.7392301354],
                ][..],
            ),
            (
                adaptive,
                [1.0084167451, -2.7070065889, 4.0605098834],
                &[[0.9897453664, -1.5130706791, 2.6753804527]],
            ),
        ] {
            let mut toy = Toy::new();
            for (step, &expected) in after.iter().enumerate() {
                let there = toy.climb(sam);
                if step == 0 {
                    assert_near(there, climbed);
                }
                let (mut values, gradients) = (toy.values(), toy.gradients.values().to_vec());
                let pairs = values.iter_mut().zip(&gradients);
                pairs.for_each(|(value, gradient)| *value -= 0.01 * *gradient as f64);
                let device = toy.weights.device().clone();
                let values = values.map(|value| value as f32);
                device.write(toy.weights.values_mut().view_mut(), &values);
                assert_near(toy.values(), expected);
            }
        }
    }

    #[test]
    fn two_steps_of_adamw_are_those_of_the_reference() {
        let settings = TrainSettings {
            weight_decay: 0.1,
            max_grad_norm: 0.0,
            sam: Some(SamSettings::default()),
            ..TrainSettings::default()
        };
        let mut toy = Toy::new();
        let mut optimizer = GroupedOptimizer::new(&toy.weights, &settings);
        let expected = [[0.9890000001, -1.988, 2.987], [0.9780210404, -1.9760156244, 2.9740170882]];
        for (step, expected) in (1..).zip(expected) {
            toy.climb(settings.sam.unwrap());
            optimizer.update(&mut toy.weights, &toy.gradients, step, 0.01, 1.0);
            assert_near(toy.values(), expected);
        }
    }

    #[test]
    fn a_climb_that_is_not_finite_changes_nothing() {
        let mut toy = Toy::new();
        toy.find_gradient();
        let sam = SamSettings::default();
        let result = climb(&mut toy.weights, &toy.gradients, sam, f64::INFINITY);
        assert!(result.is_err_and(f64::is_infinite));
        assert_eq!(toy.values(), [1.0, -2.0, 3.0]);
    }

    /// Three steps of ascent on `|w|^2 / 2` from (1, -2), by the authors' settings: Adam in double
    /// precision.
    #[test]
    fn three_steps_of_ascent_are_those_of_the_reference() {
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        let mut layout = Layout::default();
        layout.add("w", 1, 2, Role::Matrix);
        let layout = Arc::new(layout);
        let mut weights = Parameters::zeros(&device, layout.clone());
        device.write(weights.values_mut().view_mut(), &[1.0, -2.0]);
        let settings =
            TrainSettings { adam_beta2: 0.98, max_grad_norm: 0.0, ..TrainSettings::default() };
        let mut optimizer = GroupedOptimizer::new(&weights, &settings);
        let expected = [
            [1.0000499999995, -2.00004999999975],
            [1.0001000000521463, -2.000100000026077],
            [1.0001500001932053, -2.000150000096619],
        ];
        for (step, expected) in (1..).zip(expected) {
            let uphill: Vec<f32> = weights.values().to_vec().iter().map(|value| -value).collect();
            let mut gradients = Parameters::zeros(&device, layout.clone());
            device.write(gradients.values_mut().view_mut(), &uphill);
            optimizer.update(&mut weights, &gradients, step, 5e-5, 1.0);
            let found = weights.values().to_vec();
            let pairs = found.iter().zip(&expected);
            assert!(pairs.clone().all(|(a, b)| (*a as f64 - b).abs() < 3e-7), "{found:?}");
        }
    }
}
