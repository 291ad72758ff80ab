//! Cron schedules: five fields, or a descriptor such as `@hourly`.

/// The bounds and names of one field.
struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field {
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Why a text is no schedule.
pub fn validate(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        let every = schedule.strip_prefix("@every ").is_some_and(|d| !d.is_empty());
        return if every || DESCRIPTORS.contains(&schedule) {
            Ok(())
        } else {
            Err(format!("unrecognized descriptor: {schedule}"))
        };
    }
    let parts: Vec<&str> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    for (part, field) in parts.iter().zip(&FIELDS) {
        for range in part.split(',') {
            validate_range(range, field)?;
        }
    }
    Ok(())
}

fn validate_range(text: &str, field: &Field) -> Result<(), String> {
    let (range, step) = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return Err(format!("too many slashes: {text}")),
        Some((range, step)) => (range, Some(step)),
        None => (text, None),
    };
    let (start, end) = match range.split_once('-') {
        _ if range == "*" || range == "?" => (field.least, field.most),
        Some((_, rest)) if rest.contains('-') => return Err(format!("too many hyphens: {text}")),
        Some((low, high)) => (number(low, field)?, number(high, field)?),
        None => {
            let single = number(range, field)?;
            (single, if step.is_some() { field.most } else { single })
        }
    };
    let step = match step {
        Some(step) => step.parse::<u32>().map_err(|_| parse_error(step))?,
        None => 1,
    };
    match () {
        () if start < field.least => {
            Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.least))
        }
        () if end > field.most => Err(format!("end of range ({end}) above maximum ({}): {text}", field.most)),
        () if start > end => Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}")),
        () if step == 0 => Err(format!("step of range should be a positive number: {text}")),
        () => Ok(()),
    }
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    if let Some(at) = field.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return Ok(field.least + at as u32);
    }
    text.parse().map_err(|_| parse_error(text))
}

fn parse_error(text: &str) -> String {
    format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
}

#[cfg(test)]
mod tests {
    use super::validate;

    #[test]
    fn schedules() {
        for good in ["* * * * *", "*/5 0-6,12 1 JAN mon-fri", "@hourly", "0 0 * * 0"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("@monthlyish", "unrecognized descriptor: @monthlyish"),
            ("every day", "expected exactly 5 fields, found 2: [every day]"),
        ] {
            assert_eq!(validate(bad), Err(why.to_owned()), "{bad}");
        }
    }
}
