//! What is known of a place, as bits: those that a build never sets are masked where they are asked for.

/// Bits of [`Slot::local`]: what is declared here.
pub(crate) mod local {
    use crate::capability;

    pub(crate) const INTENT: u8 = 1;
    pub(crate) const INTEREST: u8 = 1 << 1;
    pub(crate) const SERVICE: u8 = 1 << 2;
    /// Messages of the intent are reliable.
    pub(crate) const RELIABLE: u8 = 1 << 3;
    /// The application wants an event for each reliable message.
    pub(crate) const TICKETS: u8 = 1 << 4;
    /// Declared after the session began: what the peer declared before is not known here.
    pub(crate) const ASK: u8 = 1 << 5;
    /// The newest message is kept as a sample.
    pub(crate) const LATEST: u8 = 1 << 6;
    /// The peer's interest is new: it is given the sample.
    pub(crate) const GIVE: u8 = 1 << 7;
    pub(crate) const DECLARED: u8 = INTENT | INTEREST | SERVICE;
    /// Those that this build ever sets.
    pub(in crate::routes) const POSSIBLE: u8 = INTENT
        | if capability::RECEIVE { INTEREST } else { 0 }
        | if capability::REQUESTS { SERVICE } else { 0 }
        | if capability::RELIABLE { RELIABLE | TICKETS } else { 0 }
        | ASK
        | if capability::EXPIRY { LATEST | GIVE } else { 0 };
}

/// Bits of [`Slot::due`]: what is to be sent.
pub(crate) mod due {
    use crate::capability;

    // Of the records about a place those with the lower bits go first.
    pub(crate) const INTENT_GONE: u16 = 1;
    pub(crate) const INTEREST_GONE: u16 = 1 << 1;
    pub(crate) const INTENT: u16 = 1 << 2;
    pub(crate) const INTEREST: u16 = 1 << 3;
    pub(crate) const NOTIFY: u16 = 1 << 4;
    pub(crate) const TAKEN: u16 = 1 << 5;
    /// Nothing to send, but our number rests until the withdrawal of the interest is acknowledged.
    pub(crate) const RESTING: u16 = 1 << 6;
    /// The interest stands at the peer, so that messages with our number are for it.
    pub(crate) const ADVERTISED: u16 = 1 << 7;
    /// Messages were discarded unread, since their time was over, and the peer does not know.
    pub(crate) const EXPIRED: u16 = 1 << 8;
    /// That was said, and is not acknowledged: until then nothing later is said of the route.
    pub(crate) const TOLD: u16 = 1 << 9;
    /// Those that this build ever sets.
    pub(crate) const POSSIBLE: u16 = INTENT
        | INTENT_GONE
        | NOTIFY
        | if capability::RECEIVE { INTEREST | INTEREST_GONE | TAKEN | RESTING | ADVERTISED } else { 0 }
        | if capability::RECEIVE && capability::EXPIRY { EXPIRED | TOLD } else { 0 };
    pub(crate) const RECORDS: u16 = INTENT | INTEREST | INTENT_GONE | INTEREST_GONE | NOTIFY | EXPIRED;
}

/// Bits of [`Slot::peer`]: what the peer has declared on this route.
pub(crate) mod peer {
    use crate::capability;

    pub(crate) const INTENT: u8 = 1;
    pub(crate) const INTEREST: u8 = 1 << 1;
    /// The peer's messages are reliable: the whole window is promised to them.
    pub(crate) const RELIABLE: u8 = 1 << 2;
    pub(crate) const CONFLICT: u8 = 1 << 3;
    /// A reliable packet was sent on this route in this session: `last_seq` counts.
    pub(crate) const SENT: u8 = 1 << 4;
    /// The interest's time to live is over: nothing new is sent, what is under way goes on, and a repetition revives it.
    pub(crate) const LAPSED: u8 = 1 << 5;
    /// There is, or was, an interest whose number and counts are known.
    pub(crate) const COUNTED: u8 = INTEREST | LAPSED;
    /// Those that matter in this build.
    pub(in crate::routes) const POSSIBLE: u8 = INTEREST
        | CONFLICT
        | LAPSED
        | if capability::RECEIVE { INTENT } else { 0 }
        | if capability::RECEIVE && capability::RELIABLE { RELIABLE } else { 0 }
        | if capability::RELIABLE { SENT } else { 0 };
}

/// Bits of [`Slot::news`]: events that the application has not seen.
pub(crate) mod news {
    pub(crate) const AUDIENCE: u8 = 1;
    pub(crate) const PUBLISHER: u8 = 1 << 1;
    pub(crate) const CONFLICT: u8 = 1 << 2;
}
