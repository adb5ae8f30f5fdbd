//! Confidence limits of a probability, from counts.
//!
//! Clopper and Pearson's exact limits (Biometrika 26, 1934): the upper limit of `hits` in `trials`
//! at confidence 1 − α is the p at which `hits` or fewer would be seen with probability α. It is the
//! 1 − α quantile of the beta distribution with parameters hits + 1 and trials − hits. Never too
//! low, whatever the counts; for few hits somewhat too high.

/// The probability that a 99.9 % limit lets pass.
pub const ALPHA: f64 = 1e-3;

/// The largest probability that `hits` in `trials` leave possible at confidence 1 − `alpha`; 1
/// without a trial, or when every one was a hit.
pub fn upper_limit(hits: u64, trials: u64, alpha: f64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    bisect(|p| binomial_tail(hits + 1, trials, p) < 1.0 - alpha)
}

/// The smallest such probability; 0 without a hit.
pub fn lower_limit(hits: u64, trials: u64, alpha: f64) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    bisect(|p| binomial_tail(hits.min(trials), trials, p) < alpha)
}

/// P(at least `hits` in `trials`), each with probability `p`: the regularised incomplete beta
/// function I_p(hits, trials − hits + 1) (Abramowitz and Stegun, 26.5.24).
pub fn binomial_tail(hits: u64, trials: u64, p: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if hits > trials || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let (a, b) = (hits as f64, (trials - hits + 1) as f64);
    // The fraction converges fast left of the mean, and I_p(a, b) = 1 − I_(1−p)(b, a).
    if p < (a + 1.0) / (a + b + 2.0) {
        beta_fraction(a, b, p)
    } else {
        1.0 - beta_fraction(b, a, 1.0 - p)
    }
}

/// The p in 0..1 at which `below` turns false, on a scale of ratios: small ones count too.
fn bisect(below: impl Fn(f64) -> bool) -> f64 {
    // p = 1/(1 + exp(−t)) spreads both ends.
    let logistic = |t: f64| 1.0 / (1.0 + (-t).exp());
    let (mut low, mut high) = (-60.0, 40.0);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if below(logistic(middle)) { low = middle } else { high = middle }
    }
    logistic(high)
}

/// I_x(a, b) by its continued fraction (Abramowitz and Stegun, 26.5.8), summed forward with
/// Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut sum = d;
    // As many steps as sqrt(max(a, b)) suffice.
    for m in 1..=(100 + 10 * a.max(b).sqrt() as u64) {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = sum;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            sum *= c * d;
        }
        if (sum / before - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * sum / a
}

/// ln Γ(x) for x > 0: Stirling's series, from 12 on, where five terms are exact to a double.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0];
    let series = series.iter().rev().fold(0.0, |sum, term| sum * square + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) -> bool {
        (got / expected - 1.0).abs() < 1e-6
    }

    /// Sums of the binomial distribution itself.
    #[test]
    fn tails_are_those_of_the_binomial_distribution() {
        for (hits, trials, p) in [(3u64, 10u64, 0.2f64), (1, 5, 0.5), (40, 60, 0.6), (7, 400, 0.01)]
        {
            let mut term = (1.0 - p).powi(trials as i32);
            let mut below = 0.0;
            for k in 0..hits {
                below += term;
                term *= (trials - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
            }
            assert!(close(binomial_tail(hits, trials, p), 1.0 - below), "{hits} of {trials}");
        }
    }

    /// With no hit the limit is 1 − α^(1/n), with nothing but hits α^(1/n).
    #[test]
    fn limits_are_exact_at_the_edges_and_contain_the_estimate() {
        for n in [1u64, 10, 1000, 1_000_000] {
            assert!(close(upper_limit(0, n, ALPHA), -(ALPHA.ln() / n as f64).exp_m1()));
            assert!(close(lower_limit(n, n, ALPHA), (ALPHA.ln() / n as f64).exp()));
        }
        assert_eq!((upper_limit(0, 0, ALPHA), upper_limit(5, 5, ALPHA)), (1.0, 1.0));
        assert_eq!(lower_limit(0, 5, ALPHA), 0.0);
        for (hits, trials) in [(1u64, 100u64), (50, 1000), (10_000, 1_000_000_000)] {
            let estimate = hits as f64 / trials as f64;
            let (low, high) = (lower_limit(hits, trials, ALPHA), upper_limit(hits, trials, ALPHA));
            assert!(low < estimate && estimate < high && high < 10.0 * estimate);
            assert!(close(binomial_tail(hits, trials, low), ALPHA));
            assert!(close(1.0 - binomial_tail(hits + 1, trials, high), ALPHA));
        }
    }
}
