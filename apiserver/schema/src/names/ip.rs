//! IP addresses and CIDR blocks, in the two strictnesses that fields of the API have.
//!
//! The sloppy parser takes leading zeros in IPv4 octets, as old fields always did; the strict rules refuse what two
//! programs could read differently.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const BAD_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An IP address, as old fields take it (leading zeros, IPv4-mapped IPv6).
pub fn ip(value: &str) -> Vec<String> {
    complain(parse_ip_sloppy(value).is_none(), BAD_IP)
}

/// An IP address in which no two readers can see two different addresses.
pub fn ip_strict(value: &str) -> Vec<String> {
    let Some(address) = parse_ip_sloppy(value) else {
        return complain(true, BAD_IP);
    };
    if is_mapped(address) {
        return complain(true, "must not be an IPv4-mapped IPv6 address");
    }
    // The sloppy parser took it and the standard one does not: only leading zeros are between the two.
    complain(value.parse::<IpAddr>().is_err(), "must not have leading 0s")
}

/// An IPv4 address.
pub fn ipv4(value: &str) -> Vec<String> {
    let good = parse_ip_sloppy(value).is_some_and(|address| address.is_ipv4() || is_mapped(address));
    complain(!good, "must be a valid IPv4 address")
}

/// An IPv6 address that is not a mapped IPv4 address.
pub fn ipv6(value: &str) -> Vec<String> {
    let good = parse_ip_sloppy(value).is_some_and(|address| address.is_ipv6() && !is_mapped(address));
    complain(!good, "must be a valid IPv6 address")
}

/// A CIDR value, as old fields take it (leading zeros, bits beyond the prefix).
pub fn cidr(value: &str) -> Vec<String> {
    complain(parse_cidr_sloppy(value).is_none(), BAD_CIDR)
}

/// A CIDR value that names a network: no leading zeros, no bits beyond the prefix length.
pub fn cidr_strict(value: &str) -> Vec<String> {
    let Some((address, prefix)) = parse_cidr_sloppy(value) else {
        return complain(true, BAD_CIDR);
    };
    let mut errors = Vec::new();
    let (ip_part, prefix_part) = value.split_once('/').unwrap_or((value, ""));
    if ip_part.parse::<IpAddr>().is_err() || (prefix_part.len() > 1 && prefix_part.starts_with('0')) {
        errors.push("must not have leading 0s in IP or prefix length".to_owned());
    } else if is_mapped(address) {
        errors.push("must not have an IPv4-mapped IPv6 address".to_owned());
    }
    if mask(address, prefix) != address {
        errors.push("must not have bits set beyond the prefix length".to_owned());
    }
    errors
}

/// An interface address such as `192.168.1.5/24`: a whole address with its prefix length, in canonical form.
pub fn interface_address(value: &str) -> Vec<String> {
    let Some((address, prefix)) = parse_cidr_sloppy(value) else {
        return complain(true, BAD_CIDR);
    };
    let (address, prefix) = match address {
        IpAddr::V6(v6) if is_mapped(address) && prefix >= 96 => {
            (v6.to_ipv4_mapped().map_or(address, IpAddr::V4), prefix - 96)
        }
        _ => (address, prefix),
    };
    let canonical = format!("{address}/{prefix}");
    complain(value != canonical, &format!("must be in canonical form ({canonical:?})"))
}

/// An address, with leading zeros allowed where old Go allowed them. No zones.
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if !value.contains(':') {
        return parse_ipv4_sloppy(value).map(IpAddr::V4);
    }
    if let Ok(address) = value.parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(address));
    }
    // The long way round: take zeros off the groups and off a dotted tail, then let the standard parser judge.
    const TEXT_BYTES_MAX: usize = 256;
    if value.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut plain = String::with_capacity(value.len());
    for (index, group) in value.split(':').enumerate() {
        if index > 0 {
            plain.push(':');
        }
        if group.contains('.') {
            plain.push_str(&parse_ipv4_sloppy(group)?.to_string());
        } else if group.len() > 4 {
            let digits = group.trim_start_matches('0');
            plain.push_str(if digits.is_empty() { "0" } else { digits });
        } else {
            plain.push_str(group);
        }
    }
    plain.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// An address and a prefix length (at most 32 or 128), leading zeros allowed.
pub fn parse_cidr_sloppy(value: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = value.split_once('/')?;
    let address = parse_ip_sloppy(address)?;
    let prefix = parse_decimal(prefix)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= bits).then_some((address, u8::try_from(prefix).ok()?))
}

/// `address` with every bit after the first `prefix` ones cleared.
pub fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

fn parse_ipv4_sloppy(value: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        *octet = u8::try_from(parse_decimal(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// Digits only, any number of leading zeros; `None` above 2^24, where the sloppy parser gives up.
fn parse_decimal(text: &str) -> Option<u32> {
    const LIMIT: u32 = 0xFF_FFFF;
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0u32, |sum, b| {
        let digit = b.is_ascii_digit().then(|| u32::from(b - b'0'))?;
        Some(sum * 10 + digit).filter(|&n| n < LIMIT)
    })
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn complain(bad: bool, message: &str) -> Vec<String> {
    if bad { vec![message.to_owned()] } else { Vec::new() }
}
