//! Sans-I/O Kafka wire codec.
