//! The fields of the metadata records of Kafka 3.2 to 4.0, in their order on the wire, which is that of Kafka's JSON.
//!
//! A table and no types: the tool shows records and does nothing else with them. Source: the public schemas of the records,
//! `metadata/src/main/resources/common/metadata`.

/// One kind of record. Two rows of one api key are tried one after the other: where a layout changed without a version.
pub struct Record {
    pub api_key: u32,
    /// Kafka's name of it, as its tool shows it.
    pub name: &'static str,
    pub fields: &'static [Field],
}

/// One field.
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// The first version that has it.
    pub since: u32,
    pub tag: Option<Tag>,
}

/// A field behind all others that is there only if it has something to say.
pub struct Tag {
    pub number: u32,
    /// As JSON; not shown when it has this value.
    pub default: &'static str,
}

/// What a field holds.
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    Text,
    NullableText,
    Bytes,
    Array(&'static Kind),
    Struct(&'static [Field]),
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, since: 0, tag: None }
}

const fn tagged(name: &'static str, kind: Kind, number: u32, default: &'static str) -> Field {
    Field { name, kind, since: 0, tag: Some(Tag { number, default }) }
}

impl Field {
    const fn since(self, since: u32) -> Field {
        Field { name: self.name, kind: self.kind, since, tag: self.tag }
    }
}

const fn record(api_key: u32, name: &'static str, fields: &'static [Field]) -> Record {
    Record { api_key, name, fields }
}

const INT32S: Kind = Kind::Array(&Kind::Int32);
const UUIDS: Kind = Kind::Array(&Kind::Uuid);

const END_POINTS: Kind = Kind::Array(&Kind::Struct(&[
    field("name", Kind::Text),
    field("host", Kind::Text),
    field("port", Kind::Uint16),
    field("securityProtocol", Kind::Int16),
]));

const FEATURES: Kind = Kind::Array(&Kind::Struct(&[
    field("name", Kind::Text),
    field("minSupportedVersion", Kind::Int16),
    field("maxSupportedVersion", Kind::Int16),
]));

/// Every record that is known.
pub const RECORDS: &[Record] = &[
    record(
        0,
        "REGISTER_BROKER_RECORD",
        &[
            field("brokerId", Kind::Int32),
            field("isMigratingZkBroker", Kind::Bool).since(2),
            field("incarnationId", Kind::Uuid),
            field("brokerEpoch", Kind::Int64),
            field("endPoints", END_POINTS),
            field("features", FEATURES),
            field("rack", Kind::NullableText),
            field("fenced", Kind::Bool),
            field("inControlledShutdown", Kind::Bool).since(1),
            tagged("logDirs", UUIDS, 0, "[]").since(3),
        ],
    ),
    record(
        1,
        "UNREGISTER_BROKER_RECORD",
        &[field("brokerId", Kind::Int32), field("brokerEpoch", Kind::Int64)],
    ),
    record(2, "TOPIC_RECORD", &[field("name", Kind::Text), field("topicId", Kind::Uuid)]),
    record(
        3,
        "PARTITION_RECORD",
        &[
            field("partitionId", Kind::Int32),
            field("topicId", Kind::Uuid),
            field("replicas", INT32S),
            field("isr", INT32S),
            field("removingReplicas", INT32S),
            field("addingReplicas", INT32S),
            field("leader", Kind::Int32),
            tagged("leaderRecoveryState", Kind::Int8, 0, "0"),
            field("leaderEpoch", Kind::Int32),
            field("partitionEpoch", Kind::Int32),
            field("directories", UUIDS).since(1),
            tagged("eligibleLeaderReplicas", INT32S, 1, "null").since(2),
            tagged("lastKnownElr", INT32S, 2, "null").since(2),
        ],
    ),
    record(
        4,
        "CONFIG_RECORD",
        &[
            field("resourceType", Kind::Int8),
            field("resourceName", Kind::Text),
            field("name", Kind::Text),
            field("value", Kind::NullableText),
        ],
    ),
    record(
        5,
        "PARTITION_CHANGE_RECORD",
        &[
            field("partitionId", Kind::Int32),
            field("topicId", Kind::Uuid),
            tagged("isr", INT32S, 0, "null"),
            tagged("leader", Kind::Int32, 1, "-2"),
            tagged("replicas", INT32S, 2, "null"),
            tagged("removingReplicas", INT32S, 3, "null"),
            tagged("addingReplicas", INT32S, 4, "null"),
            tagged("leaderRecoveryState", Kind::Int8, 5, "-1"),
            tagged("directories", UUIDS, 8, "null").since(1),
            tagged("eligibleLeaderReplicas", INT32S, 6, "null").since(2),
            tagged("lastKnownElr", INT32S, 7, "null").since(2),
        ],
    ),
    record(
        6,
        "ACCESS_CONTROL_RECORD",
        &[
            field("resourceType", Kind::Int8),
            field("resourceName", Kind::NullableText),
            field("patternType", Kind::Int8),
            field("principal", Kind::Text),
            field("host", Kind::Text),
            field("operation", Kind::Int8),
            field("permissionType", Kind::Int8),
        ],
    ),
    record(7, "FENCE_BROKER_RECORD", &[field("id", Kind::Int32), field("epoch", Kind::Int64)]),
    record(8, "UNFENCE_BROKER_RECORD", &[field("id", Kind::Int32), field("epoch", Kind::Int64)]),
    record(9, "REMOVE_TOPIC_RECORD", &[field("topicId", Kind::Uuid)]),
    record(
        10,
        "DELEGATION_TOKEN_RECORD",
        &[
            field("owner", Kind::Text),
            field("requester", Kind::Text),
            field("renewers", Kind::Array(&Kind::Text)),
            field("issueTimestamp", Kind::Int64),
            field("maxTimestamp", Kind::Int64),
            field("expirationTimestamp", Kind::Int64),
            field("tokenId", Kind::Text),
        ],
    ),
    record(
        11,
        "USER_SCRAM_CREDENTIAL_RECORD",
        &[
            field("name", Kind::Text),
            field("mechanism", Kind::Int8),
            field("salt", Kind::Bytes),
            field("storedKey", Kind::Bytes),
            field("serverKey", Kind::Bytes),
            field("iterations", Kind::Int32),
        ],
    ),
    record(12, "FEATURE_LEVEL_RECORD", &[field("name", Kind::Text), field("featureLevel", Kind::Int16)]),
    // Until Kafka 3.2.
    record(
        12,
        "FEATURE_LEVEL_RECORD",
        &[
            field("name", Kind::Text),
            field("minFeatureLevel", Kind::Int16),
            field("maxFeatureLevel", Kind::Int16),
        ],
    ),
    record(
        14,
        "CLIENT_QUOTA_RECORD",
        &[
            field(
                "entity",
                Kind::Array(&Kind::Struct(&[
                    field("entityType", Kind::Text),
                    field("entityName", Kind::NullableText),
                ])),
            ),
            field("key", Kind::Text),
            field("value", Kind::Float64),
            field("remove", Kind::Bool),
        ],
    ),
    record(
        15,
        "PRODUCER_IDS_RECORD",
        &[
            field("brokerId", Kind::Int32),
            field("brokerEpoch", Kind::Int64),
            field("nextProducerId", Kind::Int64),
        ],
    ),
    record(16, "REMOVE_FEATURE_LEVEL_RECORD", &[field("name", Kind::Text)]),
    record(
        17,
        "BROKER_REGISTRATION_CHANGE_RECORD",
        &[
            field("brokerId", Kind::Int32),
            field("brokerEpoch", Kind::Int64),
            tagged("fenced", Kind::Int8, 0, "0"),
            tagged("inControlledShutdown", Kind::Int8, 1, "0").since(1),
            tagged("logDirs", UUIDS, 2, "[]").since(2),
        ],
    ),
    record(
        18,
        "ACCESS_CONTROL_ENTRY_RECORD",
        &[
            field("id", Kind::Uuid),
            field("resourceType", Kind::Int8),
            field("resourceName", Kind::Text),
            field("patternType", Kind::Int8),
            field("principal", Kind::Text),
            field("host", Kind::Text),
            field("operation", Kind::Int8),
            field("permissionType", Kind::Int8),
        ],
    ),
    record(19, "REMOVE_ACCESS_CONTROL_ENTRY_RECORD", &[field("id", Kind::Uuid)]),
    record(20, "NO_OP_RECORD", &[]),
    record(21, "ZK_MIGRATION_STATE_RECORD", &[field("zkMigrationState", Kind::Int8)]),
    record(
        22,
        "REMOVE_USER_SCRAM_CREDENTIAL_RECORD",
        &[field("name", Kind::Text), field("mechanism", Kind::Int8)],
    ),
    record(23, "BEGIN_TRANSACTION_RECORD", &[tagged("name", Kind::NullableText, 0, "null")]),
    record(24, "END_TRANSACTION_RECORD", &[]),
    record(25, "ABORT_TRANSACTION_RECORD", &[tagged("reason", Kind::NullableText, 0, "null")]),
    record(26, "REMOVE_DELEGATION_TOKEN_RECORD", &[field("tokenId", Kind::Text)]),
    record(
        27,
        "REGISTER_CONTROLLER_RECORD",
        &[
            field("controllerId", Kind::Int32),
            field("incarnationId", Kind::Uuid),
            field("zkMigrationReady", Kind::Bool),
            field("endPoints", END_POINTS),
            field("features", FEATURES),
        ],
    ),
];
