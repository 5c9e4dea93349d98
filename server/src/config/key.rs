//! One row of a configuration table: what a key is called, which values it takes, and what it does.

/// Largest batch that the engine takes, bytes: more cannot be allowed.
pub(super) const BATCH_BYTES_MAX: i64 = thalweg_engine::bounds::BATCH_BYTES_MAX as i64;

/// A value's type, as DescribeConfigs names it (`DescribeConfigsResponse.ConfigType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// Kafka's name, as in the message about a value that does not parse.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }

    /// The number that stands for it on the wire.
    pub const fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

/// Which values of its type a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Check {
    Any,
    /// A number, at least this.
    Min(i64),
    /// A number between the two, both allowed.
    Range(i64, i64),
    /// -1, or at least this.
    MinusOneOrMin(i64),
    /// A fraction between the two, both allowed.
    Fraction(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words.
    EachOneOf(&'static [&'static str]),
    /// A version of Kafka's, such as `3.2` or `2.8-IV1`.
    KafkaVersion,
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
}

/// A key of `server.properties` or of a topic.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written in the file; None for no value (Kafka's null).
    pub default: Option<&'static str>,
    pub check: Check,
    /// What it does, for people; DescribeConfigs returns it as documentation.
    pub doc: &'static str,
    /// For a topic's key: the broker's key that holds its default.
    pub synonym: Option<&'static str>,
}

impl Key {
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Key {
        Key { name, kind, default, check: Check::Any, doc, synonym: None }
    }

    pub(super) const fn check(self, check: Check) -> Key {
        Key { check, ..self }
    }

    pub(super) const fn synonym(self, broker_key: &'static str) -> Key {
        Key { synonym: Some(broker_key), ..self }
    }

    /// Whether its value must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }
}
