//! Moments and durations as people write them. A moment is nanoseconds since 1970 in UTC; nothing here reads a clock.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The moment that `text` names: RFC 3339 (`2014-02-03T04:05:06Z`), without zone (then UTC), with a
/// space for the `T`, a date alone, or seconds since 1970 (`1391400306.5`). None past the year 2262.
pub fn parse_moment_ns(text: &str) -> Option<i64> {
    let text = text.trim();
    let utc = |moment: DateTime| moment.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let timestamp = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| text.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))))
        .or_else(|| seconds(text));
    i64::try_from(timestamp?.as_nanosecond()).ok()
}

fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Fewer digits than five would rather be a year.
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 || whole.len() < 5 {
        return None;
    }
    Timestamp::new(whole.parse().ok()?, format!("{fraction:0<9}").parse().ok()?).ok()
}

/// RFC 3339 in UTC, with as many digits behind the second as are needed.
pub fn moment_text(moment_ns: i64) -> String {
    match Timestamp::from_nanosecond(moment_ns.into()) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => format!("{moment_ns} ns"),
    }
}

/// The duration that `text` names: `10s`, `1h 30m`, `10 seconds`, `PT1M`. None below zero.
pub fn parse_duration(text: &str) -> Option<Duration> {
    text.trim().parse::<SignedDuration>().ok().and_then(|duration| duration.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_many_ways() {
        let second = 1_391_400_306_000_000_000;
        for text in
            ["2014-02-03T04:05:06Z", "2014-02-03 04:05:06", "2014-02-03T05:05:06+01:00", "1391400306", " 1391400306.0"]
        {
            assert_eq!(parse_moment_ns(text), Some(second), "{text}");
        }
        assert_eq!(parse_moment_ns("2014-02-03"), Some(1_391_385_600_000_000_000));
        assert_eq!(parse_moment_ns("1391400306.25"), Some(second + 250_000_000));
        assert_eq!(moment_text(second), "2014-02-03T04:05:06Z");
        assert_eq!(moment_text(second + 250_000_000), "2014-02-03T04:05:06.25Z");
        for text in ["", "soon", "2014", "9999-01-01", "-5", "2014-13-01"] {
            assert_eq!(parse_moment_ns(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_in_many_ways() {
        assert_eq!(parse_duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("10 seconds"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for text in ["", "10", "-5s", "a while"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
