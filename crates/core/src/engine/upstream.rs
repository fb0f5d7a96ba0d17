//! Looking at a source without changing anything: for lists and dry runs.

use super::{Engine, EngineError, secrets::SourceSecret};
use crate::{
    Code, Failure,
    domain::{Activity, Connection, Origin},
    ports::{Key, ListPage, ListedRow, SealedKey, SourceError},
    store::Stored,
};

/// A listed ride and what is known of it here.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The row.
    pub row: ListedRow,
    /// Its record, if there is one.
    pub known: Option<Stored<Activity>>,
}

/// A page of what is upstream.
#[derive(Debug, Clone)]
pub struct UpstreamPage {
    /// The rides.
    pub rides: Vec<Upstream>,
    /// Whether the list is as the last walk left it; told on page 1 only.
    pub unchanged: bool,
    /// The page as it came.
    pub page: ListPage,
}

impl Engine {
    /// Reads one page of a source's list and what is known of its rides. Nothing is written; a refusal is
    /// only reported. The failure of the source is the inner error.
    pub async fn look(
        &self,
        connection: &Connection,
        page: u32,
    ) -> Result<Result<UpstreamPage, SourceError>, EngineError> {
        self.refuse_when_halted().await?;
        if let Some(reason) = connection.paused() {
            return Err(reason.clone().into());
        }
        let key = SealedKey { user: connection.user.clone(), connection: connection.id.clone() };
        let sealed = self.ports.vault.open(&key).await?;
        let secret = SourceSecret::from_sealed(&sealed).ok_or_else(|| Failure::from(Code::TokenMissing))?;
        if self
            .ports
            .source
            .token_facts(&secret.token)
            .is_ok_and(|facts| facts.ends_at.is_some_and(|end| end <= self.now()))
        {
            return Err(Failure::from(Code::TokenExpired).into());
        }
        let listed = match self.list_page(connection, &secret, page).await {
            Ok(listed) => listed,
            Err(error) => return Ok(Err(error)),
        };
        let key = |row: &ListedRow| Key::activity(&connection.user, &Origin::cloud_id(&connection.id, row.ride_id));
        let keys: Vec<_> = listed.rows.iter().map(key).collect();
        let known = self.store.read_many::<Activity>(&keys).await?;
        let rides = listed.rows.iter().cloned().zip(known).map(|(row, known)| Upstream { row, known }).collect();
        let mark = super::poll::mark_of(&listed, self.now());
        let last = connection.source().and_then(|source| source.mark.as_ref());
        let unchanged = page == 1 && last.is_some_and(|last| super::poll::same_list(last, &mark));
        Ok(Ok(UpstreamPage { rides, unchanged, page: listed }))
    }
}
