//! SCRAM credentials of users. The password is salted and hashed here (RFC 5802) and never leaves this process.

use std::io::Write;

use hmac::Hmac;
use kafka_protocol::error::ResponseError;
use sha2::{Sha256, Sha512};
use uuid::Uuid;

use super::changes::Changes;
use super::entity::{Entities, Kind};
use crate::admin::quotas::{self, Salted};
use crate::client::Client;
use crate::failure::Failure;

const SHA_256: i8 = 1;
const SHA_512: i8 = 2;
/// The least that either mechanism accepts, and what holds if none is given.
const ITERATIONS_MIN: i32 = 4096;

/// The number of a mechanism in the protocol.
pub fn mechanism(name: &str) -> Option<i8> {
    match name {
        "SCRAM-SHA-256" => Some(SHA_256),
        "SCRAM-SHA-512" => Some(SHA_512),
        _ => None,
    }
}

/// Shown unless clients or defaults are asked about, which have no credentials.
pub fn describe(client: &mut Client, entities: &Entities, out: &mut dyn Write) -> Result<(), Failure> {
    if entities.has(Kind::Client) || entities.names.iter().any(String::is_empty) {
        return Ok(());
    }
    for one in quotas::describe_scram(client, &entities.names)? {
        let user = &one.user;
        match one.found {
            Ok(infos) => {
                let name = |number| if number == SHA_256 { "SCRAM-SHA-256" } else { "SCRAM-SHA-512" };
                let infos: Vec<String> = infos
                    .iter()
                    .map(|(number, iterations)| format!("{}=iterations={iterations}", name(*number)))
                    .collect();
                writeln!(
                    out,
                    "SCRAM credential configs for user-principal '{user}' are {}",
                    infos.join(", ")
                )?;
            }
            Err(error) if error.code == ResponseError::ResourceNotFound => {}
            Err(error) => writeln!(
                out,
                "Error retrieving SCRAM credential configs for user-principal '{user}': ExecutionException: {}",
                error.described()
            )?,
        }
    }
    Ok(())
}

pub fn alter(client: &mut Client, user: &str, changes: &Changes) -> Result<(), Failure> {
    let mut set = Vec::new();
    for (name, value) in &changes.set {
        if let Some(number) = mechanism(name) {
            set.push(salted(name, number, value)?);
        }
    }
    let deleted: Vec<i8> = changes.deleted.iter().filter_map(|name| mechanism(name)).collect();
    Ok(quotas::alter_scram(client, user, &set, &deleted)?)
}

/// `[iterations=8192,]password=secret`
fn salted(name: &str, mechanism: i8, text: &str) -> Result<Salted, Failure> {
    let invalid =
        || Failure::message(format!("Invalid credential property {}={text}", name.replace('-', "_")));
    let (iterations, rest) = match text.strip_prefix("iterations=") {
        Some(rest) => {
            let (number, rest) = rest.split_once(',').ok_or_else(invalid)?;
            (number.parse().ok().ok_or_else(invalid)?, rest)
        }
        None => (ITERATIONS_MIN, text),
    };
    let password = rest.strip_prefix("password=").ok_or_else(invalid)?;
    if iterations < ITERATIONS_MIN {
        return Err(Failure::message(format!(
            "Iterations {iterations} is less than the minimum {ITERATIONS_MIN} required for {name}"
        )));
    }
    // 244 random bits: two version 4 UUIDs.
    let salt = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
    let password = hashed(mechanism, password.as_bytes(), &salt, iterations as u32).ok_or_else(invalid)?;
    Ok(Salted { mechanism, iterations, salt, password })
}

fn hashed(mechanism: i8, password: &[u8], salt: &[u8], iterations: u32) -> Option<Vec<u8>> {
    let mut out = vec![0; if mechanism == SHA_256 { 32 } else { 64 }];
    match mechanism {
        SHA_256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut out).ok()?,
        _ => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, iterations, &mut out).ok()?,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salted_password_is_the_one_of_rfc_7677() {
        // Its example: user "user", password "pencil", 4096 iterations.
        let salt =
            [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let salted = hashed(SHA_256, b"pencil", &salt, 4096).unwrap();
        assert_eq!(salted[..4], [0xc4, 0xa4, 0x95, 0x10]);
    }

    #[test]
    fn a_credential_is_a_password_and_perhaps_iterations() {
        assert_eq!(salted("SCRAM-SHA-256", SHA_256, "iterations=8192,password=a").unwrap().iterations, 8192);
        assert_eq!(salted("SCRAM-SHA-512", SHA_512, "password=a").unwrap().password.len(), 64);
        assert!(
            salted("SCRAM-SHA-256", SHA_256, "iterations=1,password=a").unwrap_err().text().contains("4096")
        );
        assert!(salted("SCRAM-SHA-256", SHA_256, "a").is_err());
    }
}
