//! Ranges to allocate from: the CIDRs of Service addresses and the node ports.

use std::net::IpAddr;

/// One CIDR. Addresses are numbered from its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    base: u128,
    prefix: u8,
    v6: bool,
}

impl IpRange {
    /// Reads `10.0.0.0/24`. Host bits must be zero.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').ok_or_else(|| format!("invalid CIDR address: {text}"))?;
        let address: IpAddr = address.parse().map_err(|_| format!("invalid CIDR address: {text}"))?;
        let prefix: u8 = prefix.parse().map_err(|_| format!("invalid CIDR address: {text}"))?;
        let v6 = address.is_ipv6();
        let width = if v6 { 128 } else { 32 };
        if prefix > width {
            return Err(format!("invalid CIDR address: {text}"));
        }
        let range = IpRange { base: number(address), prefix, v6 };
        if range.base & (range.size() - 1) != 0 {
            return Err(format!("{text} has host bits set"));
        }
        if range.size() < 8 {
            return Err(format!("{text} is too small: it must hold at least 8 addresses"));
        }
        Ok(range)
    }

    /// Addresses in the range, cut at 2^127.
    pub fn size(&self) -> u128 {
        let width = if self.v6 { 128 } else { 32 };
        1u128 << (width - u32::from(self.prefix)).min(127)
    }

    pub fn is_v6(&self) -> bool {
        self.v6
    }

    /// `IPv4` or `IPv6`.
    pub fn family(&self) -> &'static str {
        if self.v6 { "IPv6" } else { "IPv4" }
    }

    /// The `offset`-th address.
    pub fn at(&self, offset: u128) -> IpAddr {
        let n = self.base + offset;
        if self.v6 { IpAddr::V6(n.into()) } else { IpAddr::V4((n as u32).into()) }
    }

    /// Whether a Service may have the address: inside, and neither the network's nor (v4) the broadcast address.
    pub fn allocatable(&self, address: IpAddr) -> bool {
        self.offset(address).is_some_and(|o| o > 0 && (self.v6 || o < self.size() - 1))
    }

    pub fn offset(&self, address: IpAddr) -> Option<u128> {
        if address.is_ipv6() != self.v6 {
            return None;
        }
        number(address).checked_sub(self.base).filter(|o| *o < self.size())
    }
}

impl std::fmt::Display for IpRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.at(0), self.prefix)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// Ports `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// Reads `30000-32767`, `30000+100` or one port.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a port range (first-last)");
        let port = |t: &str| t.trim().parse::<u16>().map_err(|_| bad());
        let range = if let Some((first, last)) = text.split_once('-') {
            PortRange { first: port(first)?, last: port(last)? }
        } else if let Some((first, more)) = text.split_once('+') {
            let first = port(first)?;
            PortRange { first, last: first.checked_add(port(more)?).ok_or_else(bad)? }
        } else {
            PortRange { first: port(text)?, last: port(text)? }
        };
        if range.first == 0 || range.first > range.last { Err(bad()) } else { Ok(range) }
    }

    pub fn contains(&self, port: i64) -> bool {
        (i64::from(self.first)..=i64::from(self.last)).contains(&port)
    }

    /// Ports in the range, at least 1.
    pub fn count(&self) -> u32 {
        u32::from(self.last - self.first) + 1
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbered_from_the_base() {
        let r = IpRange::parse("10.0.0.0/24").unwrap();
        assert_eq!((r.size(), r.at(1).to_string()), (256, "10.0.0.1".to_owned()));
        assert!(r.allocatable("10.0.0.1".parse().unwrap()));
        for refused in ["10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"] {
            assert!(!r.allocatable(refused.parse().unwrap()), "{refused}");
        }
        for bad in ["10.0.0.0", "10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/30", "x/8"] {
            assert!(IpRange::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(IpRange::parse("fd00:1::/108").unwrap().to_string(), "fd00:1::/108");
    }

    #[test]
    fn port_ranges() {
        assert_eq!(PortRange::parse("30000-32767").unwrap().count(), 2768);
        assert_eq!(PortRange::parse("30000+10").unwrap().last, 30010);
        for bad in ["", "0-5", "9-8", "a-b", "65535+5"] {
            assert!(PortRange::parse(bad).is_err(), "{bad}");
        }
    }
}
