//! Features of a zone at Cloudflare that add headers to requests: off until somebody turns them on, and while one is off, its headers
//! come through the edge as visitors send them.

/// A feature whose headers a host may declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Cloudflare Access stands in front of the host.
    Access,
    /// Managed transform "Add visitor location headers".
    Location,
    /// Managed transform "Add bot protection headers".
    Bot,
    /// Managed transform "Add True-Client-IP header".
    TrueClientIp,
    /// Managed transform "Add leaked credentials checks header", and malicious uploads detection.
    Waf,
    /// 0-RTT connection resumption.
    EarlyData,
}

impl Feature {
    /// Every feature there is.
    pub const ALL: [Self; 6] =
        [Self::Access, Self::Location, Self::Bot, Self::TrueClientIp, Self::Waf, Self::EarlyData];

    /// The name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Location => "location",
            Self::Bot => "bot",
            Self::TrueClientIp => "true-client-ip",
            Self::Waf => "waf",
            Self::EarlyData => "early-data",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The features that a host declares; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u8);

impl Features {
    /// Whether the feature is declared.
    #[must_use]
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<T: IntoIterator<Item = Feature>>(features: T) -> Self {
        Self(features.into_iter().fold(0, |bits, feature| bits | feature.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_declared() {
        for declared in Feature::ALL {
            for asked in Feature::ALL {
                assert_eq!(
                    Features::from_iter([declared]).contains(asked),
                    declared == asked,
                    "{declared:?} {asked:?}"
                );
                assert!(!Features::default().contains(asked) && Features::from_iter(Feature::ALL).contains(asked));
            }
        }
    }
}
