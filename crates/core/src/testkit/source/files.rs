//! The fake cloud's file host.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::cloud::Cloud;
use crate::{
    Code, Failure,
    domain::{FileLocation, RemoteAccount, RideId},
    ports::{FileError, Files},
};

pub(super) fn location(account: &RemoteAccount, ride: RideId) -> String {
    format!("fake://{}/{}/{ride}", account.realm, account.account)
}

/// The file host of a [`FakeSource`](super::FakeSource). Clones share everything.
#[derive(Clone)]
pub struct FakeFiles(Arc<Mutex<Cloud>>);

impl fmt::Debug for FakeFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeFiles")
    }
}

impl FakeFiles {
    pub(super) fn of(cloud: Arc<Mutex<Cloud>>) -> Self {
        Self(cloud)
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next download of a ride fail; several such wait in line.
    pub fn fail_next(&self, account: &RemoteAccount, ride: RideId, error: FileError) {
        self.cloud().file_faults.entry(location(account, ride)).or_default().push_back(error);
    }

    /// Makes every download fail, or none any longer.
    pub fn fail_always(&self, error: Option<FileError>) {
        self.cloud().files_down = error;
    }

    /// Which locations were asked for since the last time, in order.
    pub fn take_calls(&self) -> Vec<FileLocation> {
        std::mem::take(&mut self.cloud().downloads).into_iter().map(FileLocation).collect()
    }
}

#[async_trait]
impl Files for FakeFiles {
    async fn open(&self, asked: &FileLocation) -> Result<Bytes, FileError> {
        let mut cloud = self.cloud();
        cloud.downloads.push(asked.0.clone());
        let fault = cloud.file_faults.get_mut(&asked.0).and_then(std::collections::VecDeque::pop_front);
        if let Some(error) = fault.or_else(|| cloud.files_down.clone()) {
            return Err(error);
        }
        let found = cloud
            .accounts
            .iter()
            .flat_map(|(account, rides)| rides.iter().map(move |ride| (account, ride)))
            .find(|(account, ride)| location(account, ride.id) == asked.0);
        let gone = || FileError::Gone(Failure::new(Code::FileGone, "404 by the fake"));
        found.map(|(_, ride)| ride.bytes.clone()).ok_or_else(gone)
    }
}
