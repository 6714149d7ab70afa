use std::fmt;

/// Why somebody was refused: for the log and the metric, never for him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    NoToken,
    Malformed,
    WrongAlgorithm,
    WrongIssuer,
    WrongAudience,
    /// It is signed well, and is no token of access.
    WrongKind,
    UnknownKey,
    BadSignature,
    Expired,
    /// It was good when the request came, and is not any more.
    Ended,
    NotYetValid,
    /// The claims are signed, but say what cannot be.
    BadClaims,
    /// The keys of an issuer could not be fetched yet.
    IssuerAway,
    UnknownApiKey,
    /// It is known who asks, and he may not.
    Forbidden,
    /// It is a customer's, and he asks for what is not his.
    NotHis,
    /// Too many credentials of his address were wrong.
    Throttled,
}

impl Why {
    pub const ALL: [Why; 17] = [
        Why::NoToken,
        Why::Malformed,
        Why::WrongAlgorithm,
        Why::WrongIssuer,
        Why::WrongAudience,
        Why::WrongKind,
        Why::UnknownKey,
        Why::BadSignature,
        Why::Expired,
        Why::Ended,
        Why::NotYetValid,
        Why::BadClaims,
        Why::IssuerAway,
        Why::UnknownApiKey,
        Why::Forbidden,
        Why::NotHis,
        Why::Throttled,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::NoToken => "no-token",
            Why::Malformed => "malformed",
            Why::WrongAlgorithm => "wrong-algorithm",
            Why::WrongIssuer => "wrong-issuer",
            Why::WrongAudience => "wrong-audience",
            Why::WrongKind => "wrong-kind",
            Why::UnknownKey => "unknown-key",
            Why::BadSignature => "bad-signature",
            Why::Expired => "expired",
            Why::Ended => "ended",
            Why::NotYetValid => "not-yet-valid",
            Why::BadClaims => "bad-claims",
            Why::IssuerAway => "issuer-away",
            Why::UnknownApiKey => "unknown-api-key",
            Why::Forbidden => "forbidden",
            Why::NotHis => "not-his",
            Why::Throttled => "throttled",
        }
    }

    /// A credential that is wrong, and may have been guessed. One that is for another service, or for another
    /// purpose, is signed well.
    pub(super) fn is_a_guess(self) -> bool {
        match self {
            Why::Malformed
            | Why::WrongAlgorithm
            | Why::WrongIssuer
            | Why::UnknownKey
            | Why::BadSignature
            | Why::BadClaims
            | Why::UnknownApiKey => true,
            Why::NoToken
            | Why::WrongAudience
            | Why::WrongKind
            | Why::Expired
            | Why::Ended
            | Why::NotYetValid
            | Why::IssuerAway
            | Why::Forbidden
            | Why::NotHis
            | Why::Throttled => false,
        }
    }

    pub(super) fn count(self) {
        metrics::counter!("daybook_auth_refused_total", "why" => self.as_str()).increment(1);
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
