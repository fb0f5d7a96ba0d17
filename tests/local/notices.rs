//! Being told of failures and recoveries, by webhook and by mail.

use fitbridge_tests::{Bench, MailServer, WEBHOOK_SECRET, wait_until};

use crate::ended::let_the_token_end;

/// A bench that trusts a mail server of its own.
fn with_mail(rides: usize) -> (Bench, MailServer) {
    let (bench, mail) = (Bench::new(rides), MailServer::start());
    let trusted = format!("{},{}", bench.simulator().trusted_hosts(), mail.address());
    bench.set("FITBRIDGE_TRUSTED_HOSTS", &trusted);
    (bench, mail)
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let line = mail.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {mail}")).trim_start_matches(": ")
}

#[test]
fn a_refused_token_is_mailed_once_and_so_is_the_recovery() {
    let (bench, mail) = with_mail(2);
    bench.keep_secret("mail-password-of-the-rider");
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    let set = ["notify", "email", "rider@example.org", "--smtp", &mail.url("rider"), "--password-stdin"];
    bench.run_with(&set, "mail-password-of-the-rider\n").exits(0).says("a test was sent");
    assert_eq!((mail.mails().len(), mail.logins()), (1, 1));
    bench.sync().exits(0);
    let_the_token_end(&bench);
    bench.sync().exits(3);
    for _ in 0..3 {
        bench.sync().exits(3);
    }
    let mails = mail.mails();
    assert_eq!(mails.len(), 2, "the test, and the failure once: {mails:?}");
    assert!(header(&mails[1], "Subject").contains("igpsport"), "{}", mails[1]);
    assert!(mails[1].contains("fitbridge connect igpsport"), "the next step: {}", mails[1]);
    bench.run(&["--json", "notify", "show"]).exits(0).says("token_expired").says("\"told\"");
    bench.connect_source().exits(0);
    bench.sync().exits(0);
    bench.sync().exits(0);
    let mails = mail.mails();
    assert_eq!(mails.len(), 3, "{mails:?}");
    assert!(header(&mails[2], "Subject").contains("works again"), "{}", mails[2]);
    bench.assert_no_secret_leaked();
}

#[test]
fn notices_by_webhook_are_signed_and_come_once() {
    let bench = Bench::new(1);
    bench.connect_source().exits(0);
    let url = bench.simulator().webhook_url();
    bench.run_with(&["notify", "webhook", &url, "--secret-stdin"], WEBHOOK_SECRET).exits(0).says("a test was sent");
    bench.run(&["notify", "test"]).exits(0).says("sent");
    let_the_token_end(&bench);
    bench.sync().exits(3);
    bench.sync().exits(3);
    bench.sync().exits(3);
    let attempts = bench.world().webhook_attempts();
    assert!(attempts.iter().all(|attempt| attempt.refused.is_none() && !attempt.duplicate), "{attempts:?}");
    assert_eq!(attempts.len(), 3, "two tests and a notice: {attempts:?}");
    bench.run(&["notify", "off"]).exits(0).says("1 taken away");
    bench.connect_source().exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.world().webhook_attempts().len(), 3, "nothing after it was switched off");
}

#[test]
fn what_does_not_work_is_refused_when_it_is_set() {
    let (bench, mail) = with_mail(0);
    let email = |url: &str, more: &[&str]| {
        bench.run_with(&[&["notify", "email", "rider@example.org", "--smtp", url], more].concat(), "wrong\n")
    };
    mail.refuse_logins(true);
    email(&mail.url("rider"), &[]).exits(1).says("[mail_login]").says("next:");
    email("smtp://mail.example.org?tls=none", &[]).exits(1).says("FITBRIDGE_TRUSTED_HOSTS");
    email("smtps://me:secret@mail.example.org", &["--password-stdin"]).exits(1).says("password in the URL");
    email("ftp://mail.example.org", &[]).exits(1).says("neither smtps:// nor smtp://");
    bench.run(&["notify", "webhook", "http://10.0.0.1/"]).exits(1).says("[webhook_refused_url]");
    bench.run(&["notify", "quiet", "22:00-22:00", "--zone", "UTC"]).exits(1).says("no end");
    bench.run(&["notify", "quiet", "22:00-07:00", "--zone", "Nowhere/Town"]).exits(1).says("no time zone");
    bench.run(&["notify", "quiet", "22:00-07:00"]).exits(1).says("--zone");
    bench.run(&["notify", "show"]).exits(0).says("notices go nowhere");
    email(&mail.url("rider"), &["--no-test"]).exits(0).says("not tested");
    bench.run(&["notify", "quiet", "22:00-07:00", "--zone", "Europe/Berlin"]).exits(0).says("22:00");
    bench.run(&["notify", "show"]).exits(0).says("rider@example.org").says("from 22:00 to 07:00 (Europe/Berlin)");
    bench.run(&["notify", "test"]).exits(2).says("[mail_login]");
}

#[test]
fn a_server_that_is_away_holds_up_no_ride_and_is_told_later() {
    let (bench, mail) = with_mail(3);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.run(&["notify", "email", "rider@example.org", "--smtp", &mail.url("")]).exits(0);
    mail.set_away(true);
    let_the_token_end(&bench);
    bench.sync().exits(3);
    bench.run(&["--json", "status"]).exits(3).says("waits to be told");
    bench.connect_source().exits(0);
    assert_eq!(bench.sync().exits(0).summary()["new"], 3);
    // It was mended before anybody could be told: there is nothing to tell any more.
    mail.set_away(false);
    bench.sync().exits(0);
    assert_eq!(mail.mails().len(), 1, "the test only");
}

#[test]
fn a_kill_while_a_mail_is_on_its_way_repeats_it_under_the_same_id() {
    let (bench, mail) = with_mail(1);
    bench.connect_source().exits(0);
    bench.run(&["notify", "email", "rider@example.org", "--smtp", &mail.url("")]).exits(0);
    let_the_token_end(&bench);
    mail.set_mute(true);
    // The server takes the mail and does not say so; then the process dies.
    let sync = bench.start(&["sync"]);
    wait_until("the mail is on its way", || mail.mails().len() == 2);
    assert_eq!(sync.kill().code, None, "it was killed");
    mail.set_mute(false);
    bench.sync().exits(3);
    bench.sync().exits(3);
    let mails = mail.mails();
    assert_eq!(mails.len(), 3, "at least once, and no more than that: {mails:?}");
    assert_eq!(header(&mails[1], "Message-ID"), header(&mails[2], "Message-ID"));
}
