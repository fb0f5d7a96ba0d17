//! A started simulator with one member, and calls as a client makes them.

use fitbridge_simulator::{Config, MemberId, NewMember, Region, Simulator, World};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

const LIST: &str = "/service/web-gateway/web-analyze/activity/queryMyActivity";
const ACTIVITY: &str = "/service/web-gateway/web-analyze/activity";

/// A client that follows no redirects.
#[expect(clippy::disallowed_methods, reason = "the simulator is tested without the crates that are tested with it")]
pub(crate) fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client")
}

pub(crate) struct Rig {
    pub(crate) sim: Simulator,
    pub(crate) client: Client,
    pub(crate) member: MemberId,
    pub(crate) token: String,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Config::seeded(11)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let sim = Simulator::start(config).await.expect("a simulator");
        let member = sim.world().add_member(NewMember::default()).expect("a member");
        let token = sim.world().token(Region::Global, member).expect("a token");
        Self { sim, client: client(), member, token }
    }

    pub(crate) fn world(&self) -> &World {
        self.sim.world()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.get_at(Region::Global, path, &self.token).await
    }

    pub(crate) async fn get_at(&self, region: Region, path: &str, token: &str) -> Response {
        let url = format!("{}{path}", self.sim.igpsport_url(region));
        self.client.get(url).bearer_auth(token).send().await.expect("an answer")
    }

    pub(crate) async fn page(&self, page: u32) -> Value {
        let path = format!("{LIST}?pageNo={page}&pageSize=20&reqType=0&sort=1");
        json(self.get(&path).await).await
    }

    pub(crate) async fn list(&self, query: &str) -> Value {
        json(self.get(&format!("{LIST}?{query}")).await).await
    }

    pub(crate) async fn detail(&self, ride: impl std::fmt::Display) -> (StatusCode, Value) {
        let response = self.get(&format!("{ACTIVITY}/queryActivityDetail/{ride}")).await;
        (response.status(), json(response).await)
    }

    pub(crate) async fn download_url(&self, ride: impl std::fmt::Display) -> (StatusCode, Value) {
        let response = self.get(&format!("{ACTIVITY}/getDownloadUrl/{ride}")).await;
        (response.status(), json(response).await)
    }

    /// Where a ride's file lies, by the API.
    pub(crate) async fn file_url(&self, ride: impl std::fmt::Display) -> String {
        let (_, body) = self.download_url(ride).await;
        body["data"].as_str().expect("a URL").to_owned()
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.sim.control_url());
        let response = self.client.post(url).json(&body).send().await.expect("an answer");
        (response.status(), json(response).await)
    }
}

pub(crate) async fn json(response: Response) -> Value {
    let text = response.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

/// The ride numbers of a list page, in order.
pub(crate) fn ids(page: &Value) -> Vec<i64> {
    let rows = page["data"]["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["rideId"].as_i64().expect("a number")).collect()
}
