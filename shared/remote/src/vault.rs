//! Sealing of secrets before they reach the table (OP-1): envelope encryption.
//!
//! Each secret is encrypted with AES-256-GCM under a data key of its own; the data key is wrapped
//! by KMS (deployed) or by a key file (local). The contract and the purpose are associated data of
//! both, so a sealed secret moved to another item does not open.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::random::Random;
use domain::ids::ContractId;

/// Maximum number of data keys kept open, so that a busy function asks KMS once for each secret.
const MAX_OPEN_KEYS: usize = 1000;

/// The reason why a secret could not be sealed or opened. Says nothing about the secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// KMS did not answer this time.
    #[error("the key service did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// KMS refuses the key: the operator has to correct it.
    #[error("the key service refuses the key")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sealed text was altered, moved to another item, or sealed under another key.
    #[error("the sealed secret does not open here")]
    DoesNotOpen,
    /// The key file cannot be used.
    #[error("key file: {0}")]
    KeyFile(String),
}

enum Keys {
    Kms {
        client: Box<aws_sdk_kms::Client>,
        key_id: String,
    },
    File(Zeroizing<[u8; 32]>),
}

/// Seals and opens secrets.
pub struct Vault {
    keys: Keys,
    random: Arc<dyn Random>,
    open_keys: Mutex<HashMap<Vec<u8>, Zeroizing<[u8; 32]>>>,
}

/// The owner and purpose of a secret: the associated data of its seal.
#[derive(Clone, Copy)]
pub struct Purpose<'a> {
    /// The contract.
    pub contract: &'a ContractId,
    /// Name of the secret within the contract, e.g. `connection/crm`.
    pub name: &'a str,
}

impl Purpose<'_> {
    fn aad(&self) -> Vec<u8> {
        format!("leadbridge/v1/{}/{}", self.contract, self.name).into_bytes()
    }
}

impl Vault {
    /// Creates the vault that `LEADBRIDGE_VAULT` names: `kms:<key id or arn>` or `file:<path>`.
    ///
    /// # Errors
    /// Returns [`VaultError::KeyFile`] if the file is missing or does not hold 64 hexadecimal digits.
    pub fn from_spec(
        spec: &VaultSpec,
        aws: &aws_config::SdkConfig,
        random: Arc<dyn Random>,
    ) -> Result<Self, VaultError> {
        let keys = match spec {
            VaultSpec::Kms(key_id) => Keys::Kms {
                client: Box::new(aws_sdk_kms::Client::new(aws)),
                key_id: key_id.clone(),
            },
            VaultSpec::File(path) => {
                let text = Zeroizing::new(
                    std::fs::read_to_string(path)
                        .map_err(|e| VaultError::KeyFile(e.kind().to_string()))?,
                );
                let mut key = Zeroizing::new([0; 32]);
                hex::decode_to_slice(text.trim(), key.as_mut()).map_err(|_| {
                    VaultError::KeyFile("does not hold 64 hexadecimal digits".to_owned())
                })?;
                Keys::File(key)
            }
        };
        Ok(Self {
            keys,
            random,
            open_keys: Mutex::default(),
        })
    }

    /// Seals a secret for one purpose.
    pub async fn seal(&self, purpose: Purpose<'_>, secret: &str) -> Result<String, VaultError> {
        let aad = purpose.aad();
        let (key, wrapped) = self.new_data_key(purpose).await?;
        let sealed = encrypt(&key, &aad, secret.as_bytes(), self.random.as_ref())?;
        Ok(format!(
            "v1.{}.{}",
            BASE64.encode(wrapped),
            BASE64.encode(sealed)
        ))
    }

    /// Opens a secret that was sealed for the same purpose.
    pub async fn open(
        &self,
        purpose: Purpose<'_>,
        sealed: &str,
    ) -> Result<Zeroizing<String>, VaultError> {
        let mut parts = sealed.split('.');
        let (Some("v1"), Some(wrapped), Some(text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VaultError::DoesNotOpen);
        };
        let wrapped = BASE64
            .decode(wrapped)
            .map_err(|_| VaultError::DoesNotOpen)?;
        let text = BASE64.decode(text).map_err(|_| VaultError::DoesNotOpen)?;
        let key = self.data_key(purpose, wrapped).await?;
        let plain = decrypt(&key, &purpose.aad(), &text)?;
        String::from_utf8(plain)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::DoesNotOpen)
    }

    async fn new_data_key(
        &self,
        purpose: Purpose<'_>,
    ) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), VaultError> {
        match &self.keys {
            Keys::Kms { client, key_id } => {
                let answer = client
                    .generate_data_key()
                    .key_id(key_id)
                    .key_spec(DataKeySpec::Aes256)
                    .encryption_context("contract", purpose.contract.as_str())
                    .encryption_context("purpose", purpose.name)
                    .send()
                    .await
                    .map_err(kms)?;
                let key = array(answer.plaintext())?;
                let wrapped = answer.ciphertext_blob().ok_or(VaultError::DoesNotOpen)?;
                Ok((key, wrapped.as_ref().to_vec()))
            }
            Keys::File(master) => {
                let mut key = Zeroizing::new([0; 32]);
                self.random.fill(key.as_mut());
                let wrapped = encrypt(master, &purpose.aad(), key.as_ref(), self.random.as_ref())?;
                Ok((key, wrapped))
            }
        }
    }

    async fn data_key(
        &self,
        purpose: Purpose<'_>,
        wrapped: Vec<u8>,
    ) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let (client, key_id) = match &self.keys {
            Keys::File(master) => {
                let key = decrypt(master, &purpose.aad(), &wrapped)?;
                return array(Some(&Blob::new(key)));
            }
            Keys::Kms { client, key_id } => (client, key_id),
        };
        // The purpose is part of the cache's key as it is of KMS's encryption context: a cached
        // key opens nothing that KMS would refuse.
        let mut cache_key = purpose.aad();
        cache_key.extend_from_slice(&wrapped);
        if let Some(key) = self.open_keys.lock().await.get(&cache_key) {
            return Ok(key.clone());
        }
        let answer = client
            .decrypt()
            .key_id(key_id)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_context("contract", purpose.contract.as_str())
            .encryption_context("purpose", purpose.name)
            .send()
            .await
            .map_err(kms)?;
        let key = array(answer.plaintext())?;
        let mut open_keys = self.open_keys.lock().await;
        if open_keys.len() >= MAX_OPEN_KEYS {
            open_keys.clear();
        }
        open_keys.insert(cache_key, key.clone());
        Ok(key)
    }
}

/// Errors of KMS that persist until the operator acts.
const KEY_FAULTS: [&str; 10] = [
    "AccessDeniedException",
    "DisabledException",
    "DryRunOperationException",
    "InvalidArnException",
    "InvalidGrantTokenException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
    "UnrecognizedClientException",
    "ValidationException",
];

/// Classifies a KMS error by its code; an unknown one counts as passing.
fn kms<E, R>(error: aws_sdk_kms::error::SdkError<E, R>) -> VaultError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some("InvalidCiphertextException" | "IncorrectKeyException") => VaultError::DoesNotOpen,
        Some(code) if KEY_FAULTS.contains(&code) => VaultError::Refused(Box::new(error)),
        _ => VaultError::Unavailable(Box::new(error)),
    }
}

/// The source of the vault's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultSpec {
    /// A KMS key.
    Kms(String),
    /// A file with 64 hexadecimal digits.
    File(std::path::PathBuf),
}

impl std::str::FromStr for VaultSpec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("kms", key)) if !key.is_empty() => Ok(Self::Kms(key.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("is neither kms:<key> nor file:<path>"),
        }
    }
}

fn array(blob: Option<&Blob>) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let key: [u8; 32] = blob
        .and_then(|blob| blob.as_ref().try_into().ok())
        .ok_or(VaultError::DoesNotOpen)?;
    Ok(Zeroizing::new(key))
}

fn encrypt(
    key: &[u8; 32],
    aad: &[u8],
    plain: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, VaultError> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| VaultError::DoesNotOpen)?;
    let mut sealed = plain.to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut sealed,
        )
        .map_err(|_| VaultError::DoesNotOpen)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn decrypt(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, text) = sealed
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(VaultError::DoesNotOpen)?;
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| VaultError::DoesNotOpen)?;
    let mut buffer = text.to_vec();
    let plain = LessSafeKey::new(key)
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            &mut buffer,
        )
        .map_err(|_| VaultError::DoesNotOpen)?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use aws_sdk_kms::error::{ErrorMetadata, SdkError};
    use aws_sdk_kms::operation::decrypt::DecryptError;

    use super::*;
    use crate::random::SystemRandom;

    fn vault(byte: u8) -> Vault {
        Vault {
            keys: Keys::File(Zeroizing::new([byte; 32])),
            random: Arc::new(SystemRandom),
            open_keys: Mutex::default(),
        }
    }

    /// Checks every error that KMS documents for the calls that are made.
    #[test]
    fn each_error_of_kms_passes_or_is_for_somebody() {
        let of_code = |code: &str| {
            let metadata = ErrorMetadata::builder().code(code).build();
            let error = DecryptError::generic(metadata);
            kms(SdkError::<_, ()>::service_error(error, ()))
        };
        for code in [
            "DependencyTimeoutException",
            "KeyUnavailableException",
            "KMSInternalException",
            "LimitExceededException",
            "RequestExpired",
            "ServiceUnavailable",
            "ThrottlingException",
            "one that nobody knows yet",
        ] {
            assert!(
                matches!(of_code(code), VaultError::Unavailable(_)),
                "{code}"
            );
        }
        for code in KEY_FAULTS {
            assert!(matches!(of_code(code), VaultError::Refused(_)), "{code}");
        }
        for code in ["IncorrectKeyException", "InvalidCiphertextException"] {
            assert!(matches!(of_code(code), VaultError::DoesNotOpen), "{code}");
        }
    }

    #[tokio::test]
    async fn a_sealed_secret_opens_only_where_it_was_sealed() {
        let (acme, other): (ContractId, ContractId) =
            ("acme".parse().unwrap(), "other".parse().unwrap());
        let here = Purpose {
            contract: &acme,
            name: "connection/crm",
        };
        let vault_1 = vault(1);
        let sealed = vault_1.seal(here, "secret").await.unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(
            vault_1.open(here, &sealed).await.unwrap().as_str(),
            "secret"
        );
        assert!(
            vault_1
                .open(
                    Purpose {
                        contract: &other,
                        ..here
                    },
                    &sealed
                )
                .await
                .is_err()
        );
        assert!(
            vault_1
                .open(
                    Purpose {
                        name: "connection/linkedin",
                        ..here
                    },
                    &sealed
                )
                .await
                .is_err()
        );
        assert!(vault(2).open(here, &sealed).await.is_err());
        let mut altered = sealed.clone().into_bytes();
        let last = altered.len() - 1;
        altered[last] = if altered[last] == b'A' { b'B' } else { b'A' };
        assert!(
            vault_1
                .open(here, std::str::from_utf8(&altered).unwrap())
                .await
                .is_err()
        );
        assert!(vault_1.open(here, "v1.x").await.is_err());
    }
}
