//! Kubernetes quantities (`500m`, `2`, `128Mi`), as far as `resourceFieldRef` needs them.

/// The quantity in units of `divisor`, rounded up; both may carry suffixes.
#[must_use]
pub fn divided(quantity: &str, divisor: &str) -> Option<u64> {
    let (value, divisor) = (parse(quantity)?, parse(divisor).filter(|d| *d > 0.0)?);
    Some((value / divisor).ceil() as u64)
}

fn parse(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("u", 1e-6),
        ("n", 1e-9),
    ];
    for (suffix, factor) in SUFFIXES {
        if let Some(number) = text.strip_suffix(suffix) {
            return number.parse::<f64>().ok().map(|n| n * factor);
        }
    }
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_rounded_up_to_the_divisor() {
        let check = |quantity: &str, divisor: &str, expect: Option<u64>| {
            assert_eq!(divided(quantity, divisor), expect, "{quantity} / {divisor}");
        };
        check("2", "1", Some(2));
        check("500m", "1", Some(1));
        check("1500m", "1m", Some(1500));
        check("128Mi", "1", Some(134_217_728));
        check("1Gi", "1Mi", Some(1024));
        check("1G", "1", Some(1_000_000_000));
        check("1e3", "1", Some(1000));
        check("two", "1", None);
        check("2", "0", None);
    }
}
