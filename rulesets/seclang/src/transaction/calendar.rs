//! The time of a request as SecLang's `TIME_*` give it, in UTC.

use crate::program::Program;
use crate::variable::Variable;

use super::values::Values;

const DAY_SECS: u64 = 86_400;

/// Sets those of the variables that the program reads.
pub(super) fn set(values: &mut Values, program: &Program, epoch_secs: u64) {
    if !program.reads_time {
        return;
    }
    let (days, of_day) = (epoch_secs / DAY_SECS, epoch_secs % DAY_SECS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (year, month, day) = date(days);
    // 1 January 1970 was a Thursday; Monday is 1.
    let weekday = (days + 3) % 7 + 1;
    let rows = [
        (Variable::Time, format!("{hour:02}:{minute:02}:{second:02}")),
        (Variable::TimeEpoch, epoch_secs.to_string()),
        (Variable::TimeYear, year.to_string()),
        // Months count from 0, as in ModSecurity 3, which gives the rest with two digits.
        (Variable::TimeMon, (month - 1).to_string()),
        (Variable::TimeDay, format!("{day:02}")),
        (Variable::TimeWday, weekday.to_string()),
        (Variable::TimeHour, format!("{hour:02}")),
        (Variable::TimeMin, format!("{minute:02}")),
        (Variable::TimeSec, format!("{second:02}")),
    ];
    for (variable, text) in rows {
        values.set(variable, text.as_bytes());
    }
}

/// Year, month (1 to 12) and day of the month of a day since 1 January 1970, by the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    let mut left = days;
    // Whole cycles of 400 years first, so that the loops below are short whatever the clock says.
    year += left / 146_097 * 400;
    left %= 146_097;
    while left >= year_days(year) {
        left -= year_days(year);
        year += 1;
    }
    let february = if year_days(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

const fn year_days(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_dates_of_the_gregorian_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_783, (2026, 11, 26)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }
}
