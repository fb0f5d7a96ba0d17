//! Telling riders, and how they want to be told.

use secrecy::SecretString;

use super::{
    Engine, EngineError, contended,
    policy::{later, later_asked},
};
use crate::{
    Code, Failure, Reader,
    domain::{
        Channel, Contact, EventKind, Failing, Message, Notice, NoticeId, NoticeState, Quiet, Service, Story, UserId,
        ids::short_digest, notice::secret_id, story,
    },
    ports::{Due, Key, NoticeTarget, NoticeText, Notifier, NotifyError, SealedKey, VaultError},
    store::Stored,
};

/// How often a record is written again when somebody else changes it meanwhile.
const TRIES: usize = 5;

/// What became of an attempt to tell a notice.
#[derive(Debug, Clone, PartialEq)]
pub enum Tell {
    /// All of the rider's channels have it.
    Done,
    /// Nothing was done: there is nothing to tell any more, or another worker has it.
    Skipped,
    /// Not yet: quiet hours, or once a day.
    Later,
    /// It did not work, this time or at all.
    Failed(Failure),
}

impl Engine {
    /// Tells a notice that is due. At least once: a worker that dies after sending tells it again, under the
    /// same id.
    #[tracing::instrument(skip_all, fields(user = %user, notice = %notice))]
    pub async fn tell(&self, user: &UserId, notice: &NoticeId) -> Result<Tell, EngineError> {
        self.tell_early(user, notice, false).await
    }

    /// Tells all of a rider's notices that nothing holds back, without waiting for more of the same; for a
    /// pass that ends. Says how many were told.
    pub async fn tell_all(&self, user: &UserId) -> Result<usize, EngineError> {
        let mut told = 0;
        for stored in self.notices(user).await? {
            if stored.doc.pending().is_some() {
                told += usize::from(self.tell_early(user, &stored.doc.cause.id(), true).await? == Tell::Done);
            }
        }
        Ok(told)
    }

    /// A rider's notices, also those that are closed.
    pub async fn notices(&self, user: &UserId) -> Result<Vec<Stored<Notice>>, EngineError> {
        Ok(self.store.all::<Notice>(user, "notice/").await?)
    }

    /// How a rider is told.
    pub async fn contact(&self, user: &UserId) -> Result<Option<Contact>, EngineError> {
        let stored: Option<Stored<Contact>> = self.store.read(&Key::contact(user)).await?;
        Ok(stored.map(|stored| stored.doc))
    }

    async fn tell_early(&self, user: &UserId, id: &NoticeId, early: bool) -> Result<Tell, EngineError> {
        let now = self.now();
        let Some(stored) = self.store.read::<Notice>(&Key::notice(user, id)).await? else { return Ok(Tell::Skipped) };
        let Some(message) = stored.doc.pending() else { return Ok(Tell::Skipped) };
        // The first attempt need not wait for more of the same; later ones wait for what their failure asked.
        let unhurried = stored.due.as_ref().is_some_and(|due| due.claim.is_none());
        let may = self.may_take(stored.due.as_ref(), now) || (early && unhurried && stored.doc.attempts == 0);
        if !may {
            return Ok(Tell::Skipped);
        }
        let contact = self.contact(user).await?;
        let Some(contact) = contact.filter(|contact| !contact.channels.is_empty()) else {
            let mut closed = stored.doc.clone();
            closed.close(now);
            self.save(&stored, &closed, None).await?;
            return Ok(Tell::Skipped);
        };
        let quiet = contact.quiet.as_ref().filter(|_| !planted!(self, QuietIgnored)).and_then(|quiet| quiet.ends(now));
        if let Some(at) = quiet.max(stored.doc.not_before).filter(|at| *at > now) {
            let mut held = stored.doc.clone();
            held.not_before = Some(at);
            let due = Some(Due::at(self.shard(user), at));
            if held != stored.doc || stored.due != due {
                self.save(&stored, &held, due).await?;
            }
            return Ok(Tell::Later);
        }
        let Some(claimed) = self.claim_notice(stored, message).await? else { return Ok(Tell::Skipped) };
        if claimed.doc.pending() != Some(message) {
            return Ok(Tell::Failed(Code::AttemptsUsedUp.into()));
        }
        let text = self.text_of(&claimed.doc, message).await?;
        let (done, trouble) = self.tell_channels(&contact, &claimed.doc.done, &text).await;
        self.record_told(claimed, message, done, trouble).await
    }

    /// Claims a notice and counts the attempt; where there is none left, the message is given up.
    async fn claim_notice(
        &self,
        mut stored: Stored<Notice>,
        message: Message,
    ) -> Result<Option<Stored<Notice>>, EngineError> {
        let mut claimed = stored.doc.clone();
        claimed.attempts = claimed.attempts.saturating_add(1);
        let most = u32::try_from(self.policy.notice_backoff.len()).unwrap_or(u32::MAX).saturating_add(1);
        let due = if claimed.attempts > most {
            claimed.gives_up_telling(message, Code::AttemptsUsedUp.into(), self.now());
            None
        } else {
            Some(self.working_on(&claimed.user))
        };
        if !self.save(&stored, &claimed, due.clone()).await? {
            return Ok(None);
        }
        stored.version += 1;
        (stored.doc, stored.due) = (claimed, due);
        Ok(Some(stored))
    }

    /// Tells all channels that do not have it yet: those that have it now, and the worst that happened.
    async fn tell_channels(
        &self,
        contact: &Contact,
        done: &[Service],
        text: &NoticeText,
    ) -> (Vec<Service>, Option<NotifyError>) {
        let (mut done, mut trouble) = (done.to_vec(), None);
        for channel in &contact.channels {
            if done.contains(&channel.via) {
                continue;
            }
            match self.tell_channel(&contact.user, channel, text).await {
                Ok(()) => done.push(channel.via.clone()),
                Err(error) => {
                    tracing::warn!(via = %channel.via, code = %error.failure().code, "a notice was not told: {error}");
                    // What may pass is tried again, whatever else is wrong.
                    if !matches!(trouble, Some(NotifyError::Transient { .. })) {
                        trouble = Some(error);
                    }
                }
            }
        }
        (done, trouble)
    }

    async fn tell_channel(&self, user: &UserId, channel: &Channel, text: &NoticeText) -> Result<(), NotifyError> {
        let notifier = self.notifier(&channel.via).map_err(NotifyError::Permanent)?;
        let secret = match self.ports.vault.open(&channel_key(user, &channel.via)).await {
            Ok(secret) => Some(secret),
            // The notifier itself says whether it needs one.
            Err(VaultError::Missing(_) | VaultError::Unsealable(_)) => None,
            Err(error @ VaultError::Unavailable(_)) => {
                let failure = Failure::new(Code::VaultUnavailable, error.to_string());
                return Err(NotifyError::Transient { failure, retry_after: None });
            }
        };
        notifier.tell(&NoticeTarget { settings: channel.settings.clone(), secret }, text).await
    }

    fn notifier(&self, via: &Service) -> Result<&dyn Notifier, Failure> {
        let notifier = self.ports.notifiers.get(via);
        notifier.map(|notifier| &**notifier).ok_or_else(|| Failure::new(Code::NoticeChannel, via.as_str()))
    }

    async fn record_told(
        &self,
        mut claimed: Stored<Notice>,
        message: Message,
        done: Vec<Service>,
        trouble: Option<NotifyError>,
    ) -> Result<Tell, EngineError> {
        let number = claimed.doc.message;
        for _ in 0..TRIES {
            let now = self.now();
            let mut told = claimed.doc.clone();
            let due = match &trouble {
                None => {
                    told.was_told(message, number, now);
                    self.due_of_notice(&told, None)
                }
                Some(error) if told.message == number && told.pending() == Some(message) => {
                    told.was_told_in_part(message, done.clone(), now);
                    let again = match error {
                        NotifyError::Transient { retry_after, .. } => {
                            let waits = &self.policy.notice_backoff;
                            let own = super::Policy::next_try(waits, told.attempts, now, &*self.ports.entropy);
                            own.map(|own| retry_after.map_or(own, |asked| own.max(later_asked(now, asked))))
                        }
                        NotifyError::Permanent(_) => None,
                    };
                    if again.is_none() {
                        told.gives_up_telling(message, error.failure().clone(), now);
                    }
                    again.map(|at| Due::at(self.shard(&told.user), at))
                }
                // It has gone on to another message, which has its own time.
                Some(_) => return Ok(Tell::Failed(trouble_of(trouble))),
            };
            if self.save(&claimed, &told, due).await? {
                return Ok(trouble.map_or(Tell::Done, |error| Tell::Failed(error.failure().clone())));
            }
            match self.store.read::<Notice>(&Key::notice(&told.user, &told.cause.id())).await? {
                Some(fresh) => claimed = fresh,
                None => break,
            }
        }
        // Its claim ends, and it is told again under the same id.
        Ok(Tell::Skipped)
    }

    /// The message for people.
    async fn text_of(&self, notice: &Notice, message: Message) -> Result<NoticeText, EngineError> {
        let connection = match &notice.cause.connection {
            Some(id) => self.store.connection(&notice.user, id).await?.map(|stored| stored.doc.name),
            None => None,
        };
        let reader = match self.policy.rider_at_hand.as_ref() == Some(&notice.user) {
            true => Reader::Rider,
            false => Reader::Guest,
        };
        let code = notice.cause.code;
        let of = connection.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let (subject, sentence, next) = match message {
            Message::Failure => {
                let many = if notice.count > 1 { format!(" ({} times)", notice.count) } else { String::new() };
                let subject = format!("FitBridge: {of}{}{many}", code.sentence());
                (subject, format!("{of}{}", code.sentence()), code.next_step_for(reader).into_owned())
            }
            Message::Recovery => {
                let subject = format!("FitBridge: {of}works again");
                (subject, format!("{of}works again; it was: {}", code.sentence()), "nothing to do".to_owned())
            }
        };
        let failure = &notice.failure;
        let detail = match (failure.code == code, message) {
            (_, Message::Recovery) => String::new(),
            (true, _) => failure.detail.clone(),
            // The last of those that were given up says why.
            (false, _) => failure.to_string(),
        };
        Ok(NoticeText {
            id: notice.message_id(),
            message: Some(message),
            code: Some(code),
            connection,
            count: notice.count,
            since: Some(notice.since),
            now: self.now(),
            subject,
            sentence,
            detail,
            next,
        })
    }

    /// Looks whether a channel would do, and sends a test through it unless that is not wanted.
    pub async fn check_channel(
        &self,
        via: &Service,
        settings: &serde_json::Value,
        secret: Option<&SecretString>,
        send_test: bool,
    ) -> Result<Channel, EngineError> {
        let notifier = self.notifier(via)?;
        let checked = notifier.check(settings, secret)?;
        if send_test {
            let target = NoticeTarget { settings: checked.settings.clone(), secret: secret.cloned() };
            let text = self.test_text(&checked.label);
            notifier.tell(&target, &text).await.map_err(|error| error.failure().clone())?;
        }
        Ok(Channel { via: via.clone(), label: checked.label, settings: checked.settings })
    }

    fn test_text(&self, label: &str) -> NoticeText {
        let now = self.now();
        NoticeText::test(format!("test_{}", short_digest(format!("{label}/{now}").as_bytes())), now)
    }

    /// Sends a test through each of a rider's channels: what became of each.
    pub async fn test_channels(&self, user: &UserId) -> Result<Vec<(Channel, Result<(), Failure>)>, EngineError> {
        let mut tested = Vec::new();
        for channel in self.contact(user).await?.map(|contact| contact.channels).unwrap_or_default() {
            let text = self.test_text(&channel.label);
            let result = self.tell_channel(user, &channel, &text).await.map_err(|error| error.failure().clone());
            tested.push((channel, result));
        }
        Ok(tested)
    }

    /// Sets a channel that was checked, in place of the one of its kind.
    pub async fn set_channel(
        &self,
        user: &UserId,
        channel: Channel,
        secret: Option<&SecretString>,
    ) -> Result<(), EngineError> {
        let key = channel_key(user, &channel.via);
        // Sealed first: a crash in between leaves a secret that the next setting replaces.
        match secret {
            Some(secret) => self.ports.vault.seal(&key, secret).await?,
            None => self.ports.vault.forget(&key).await?,
        }
        let via = channel.via.clone();
        let kind = EventKind::ContactChanged { via: Some(via.clone()), on: true };
        self.change_contact(user, kind, |contact| {
            contact.channels.retain(|old| old.via != via);
            contact.channels.push(channel.clone());
        })
        .await?;
        self.tell_what_was_untold(user).await?;
        self.tell_what_stands(user).await
    }

    /// Tells what no channel took before, now that there is another one or the same one with other settings.
    async fn tell_what_was_untold(&self, user: &UserId) -> Result<(), EngineError> {
        for stored in self.notices(user).await? {
            if matches!(stored.doc.state, NoticeState::Undelivered { .. }) {
                let mut anew = stored.doc.clone();
                anew.is_told_anew(self.now());
                let due = self.due_of_notice(&anew, None);
                // Who changed it meanwhile has given it a time of its own.
                self.save(&stored, &anew, due).await?;
            }
        }
        Ok(())
    }

    /// Begins the notices of what went wrong while the rider could be told nothing.
    async fn tell_what_stands(&self, user: &UserId) -> Result<(), EngineError> {
        let Some(rider) = self.store.user(user).await? else { return Ok(()) };
        let mut standing = Story::default();
        for connection in self.store.connections(&rider.doc).await? {
            for (cause, news) in story::of_standing(&connection.doc).news {
                let known: Option<Stored<Notice>> = self.store.read(&Key::notice(user, &cause.id())).await?;
                if known.is_none_or(|known| known.doc.state == NoticeState::Closed) {
                    standing.news.push((cause, news));
                }
            }
        }
        self.commit_told(user, Vec::new(), &standing).await?;
        Ok(())
    }

    /// Tells a rider nothing any more through one channel, or at all; what was pending is dropped. Says how
    /// many channels were taken away.
    pub async fn drop_channels(&self, user: &UserId, only: Option<&Service>) -> Result<usize, EngineError> {
        let contact = self.contact(user).await?;
        let channels = contact.map(|contact| contact.channels).unwrap_or_default();
        let mut dropped = 0;
        for channel in channels.iter().filter(|channel| only.is_none_or(|only| channel.via == *only)) {
            self.ports.vault.forget(&channel_key(user, &channel.via)).await?;
            let kind = EventKind::ContactChanged { via: Some(channel.via.clone()), on: false };
            self.change_contact(user, kind, |contact| contact.channels.retain(|old| old.via != channel.via)).await?;
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Sets quiet hours, or none.
    pub async fn set_quiet(&self, user: &UserId, quiet: Option<Quiet>) -> Result<(), EngineError> {
        let kind = EventKind::ContactChanged { via: None, on: quiet.is_some() };
        self.change_contact(user, kind, |contact| contact.quiet.clone_from(&quiet)).await
    }

    async fn change_contact(
        &self,
        user: &UserId,
        kind: EventKind,
        change: impl Fn(&mut Contact) + Send + Sync,
    ) -> Result<(), EngineError> {
        self.ensure_user(user).await?;
        let story = Story::event(kind);
        for _ in 0..TRIES {
            let stored: Option<Stored<Contact>> = self.store.read(&Key::contact(user)).await?;
            let old = stored.as_ref().map(|stored| stored.doc.clone());
            let mut contact = old.unwrap_or_else(|| Contact { user: user.clone(), channels: Vec::new(), quiet: None });
            change(&mut contact);
            let write = match &stored {
                Some(stored) => stored.replace(&contact, None)?,
                None => self.store.create(&contact, None, None)?,
            };
            if self.commit_told(user, vec![write], &story).await? {
                return Ok(());
            }
        }
        Err(contended("the rider's contact"))
    }

    /// Notes that a poll failed: the first time, and when it has lasted so long that the rider is to be told. What
    /// fails in between is no write.
    pub(super) async fn note_failing(
        &self,
        stored: &mut Stored<crate::domain::Connection>,
        failure: &Failure,
    ) -> Result<(), EngineError> {
        let (now, tell_after) = (self.now(), self.policy.outage_notice_after);
        self.change_source(stored, |source| {
            source.failing = Some(Failing::again(source.failing.as_ref(), failure, now, tell_after));
        })
        .await
    }

    /// The same for a poll that was not made because the provider is left alone. The breaker's record tells that for
    /// everybody, so there is no write for each rider before it has lasted.
    pub(super) async fn note_long_outage(
        &self,
        stored: &mut Stored<crate::domain::Connection>,
        breaker: &crate::store::Breaker,
    ) -> Result<(), EngineError> {
        let (now, tell_after) = (self.now(), self.policy.outage_notice_after);
        let known = stored.doc.source().and_then(|source| source.failing.as_ref());
        let since = known.map_or(breaker.since, |failing| failing.since.min(breaker.since));
        if later(since, tell_after) > now {
            return Ok(());
        }
        self.change_source(stored, |source| {
            let before = source.failing.clone();
            let before = before.unwrap_or_else(|| Failing::new(&Code::ProviderAway.into(), breaker.since));
            source.failing = Some(Failing { told: true, ..before });
        })
        .await
    }
}

fn channel_key(user: &UserId, via: &Service) -> SealedKey {
    SealedKey { user: user.clone(), connection: secret_id(via) }
}

fn trouble_of(trouble: Option<NotifyError>) -> Failure {
    trouble.map_or(Code::Bug.into(), |error| error.failure().clone())
}
