//! What a person sets and types to point FitBridge at the simulator.

use serde::Serialize;

use crate::igpsport::Region;
use crate::journal::Role;
use crate::world::World;

/// How to point FitBridge at a running simulator. All credentials are made up and work nowhere else.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionHelp {
    /// Environment variables for `fitbridge`.
    pub environment: Vec<(String, String)>,
    /// Commands to type next, in order, for the first member and the first athlete.
    pub commands: Vec<String>,
    /// The control listener.
    pub control_url: String,
    /// E-mail of the first member, if there is one.
    pub email: Option<String>,
    /// That member's password.
    pub password: Option<String>,
    /// A fresh token of that member.
    pub token: Option<String>,
    /// API key of the first athlete.
    pub api_key: Option<String>,
    /// Where webhooks go.
    pub webhook_url: String,
    /// The secret the demo world gave the webhook receiver.
    pub webhook_secret: Option<String>,
}

/// Describes how to connect to `world`'s services; mints a token for the first member of the global region.
#[must_use]
pub(crate) fn connection_help(world: &World) -> ConnectionHelp {
    let urls = &world.shared.urls;
    let webhook_url = format!("{}/hook", urls.of(Role::Webhook));
    let trusted = format!("{},{}", urls.addr(Role::Files), urls.addr(Role::Webhook));
    let environment = vec![
        ("FITBRIDGE_IGPSPORT_URL".to_owned(), urls.igpsport(Region::Global)),
        ("FITBRIDGE_INTERVALS_URL".to_owned(), urls.of(Role::Intervals)),
        ("FITBRIDGE_TRUSTED_HOSTS".to_owned(), trusted),
    ];
    let first = world.members(Region::Global).into_iter().next();
    let token = first.as_ref().and_then(|member| world.token(Region::Global, member.member_id).ok());
    let password = first.as_ref().and_then(|member| {
        let state = world.shared.state();
        let members = &state.region(Region::Global).members;
        members.get(&member.member_id).map(|member| member.password.clone())
    });
    let api_key = world.athletes().into_iter().next().map(|(_, _, key)| key);
    let webhook_secret = world.shared.state().webhook.secret_text();
    let mut commands = Vec::new();
    let mut pipe = |secret: &Option<String>, rest: String| {
        if let Some(secret) = secret {
            commands.push(format!("printf %s '{secret}' | fitbridge connect {rest}"));
        }
    };
    pipe(&token, "igpsport --token-stdin".to_owned());
    pipe(&api_key, "intervals --api-key-stdin".to_owned());
    pipe(&webhook_secret, format!("webhook {webhook_url} --secret-stdin"));
    commands.push("fitbridge sync".to_owned());
    ConnectionHelp {
        environment,
        commands,
        control_url: urls.of(Role::Control),
        email: first.map(|member| member.email),
        password,
        token,
        api_key,
        webhook_url,
        webhook_secret,
    }
}

impl ConnectionHelp {
    /// The environment as `export` lines of a shell.
    #[must_use]
    pub fn exports(&self) -> String {
        self.environment.iter().map(|(name, value)| format!("export {name}={value}\n")).collect()
    }
}
