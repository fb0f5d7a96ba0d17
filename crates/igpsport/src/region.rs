//! The two regions and their hosts.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// A region: accounts and rides are not shared between the two, tokens are *accepted* by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// Everywhere but mainland China.
    Global,
    /// Mainland China.
    China,
}

impl Region {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Global, Self::China];

    /// The region's short name, `global` or `china`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::China => "china",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no region: say global or china")]
pub struct UnknownRegion(pub String);

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|region| region.as_str() == text).ok_or_else(|| UnknownRegion(text.to_owned()))
    }
}

/// An address that cannot be the base of an API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL of iGPSport is not the base of an API: {0}")]
pub struct BadEndpoint(pub &'static str);

/// Where a region's API is, and which web app we say we belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    region: Region,
    api: Url,
    web_app: &'static str,
    app_version: &'static str,
}

impl Endpoints {
    /// The region's real hosts.
    #[must_use]
    pub fn of(region: Region) -> Self {
        // The API gateways as every public client uses them; the app versions are those of the web
        // apps in mid-2026.
        let (api, web_app, app_version) = match region {
            Region::Global => ("https://prod.en.igpsport.com", "https://app.igpsport.com", "8.07.06"),
            Region::China => ("https://prod.zh.igpsport.com", "https://app.igpsport.cn", "8.07.08"),
        };
        #[expect(clippy::expect_used, reason = "both addresses are constants of ours")]
        let api = Url::parse(api).expect("a constant address parses");
        Self { region, api, web_app, app_version }
    }

    /// The region with another API host, for simulators and proxies.
    ///
    /// # Errors
    /// When `api` is not http or https, names no host, or carries a user name, query or fragment.
    pub fn with_api(region: Region, api: Url) -> Result<Self, BadEndpoint> {
        if !matches!(api.scheme(), "http" | "https") || api.host_str().is_none() {
            return Err(BadEndpoint("it must start with http:// or https://"));
        }
        if !api.username().is_empty() || api.password().is_some() {
            return Err(BadEndpoint("it must not carry a user name or password"));
        }
        if api.query().is_some() || api.fragment().is_some() {
            return Err(BadEndpoint("it must not carry a query or fragment"));
        }
        Ok(Self { api, ..Self::of(region) })
    }

    /// Both regions, each at its real host or at the one given. A replaced host is never mixed with a real
    /// one: a test's token must not reach the real service, nor the other way round. Where one is replaced,
    /// it plays the other one too.
    ///
    /// # Errors
    /// As [`Endpoints::with_api`].
    pub fn of_both(global: Option<Url>, china: Option<Url>) -> Result<Vec<Self>, BadEndpoint> {
        let (for_global, for_china) = (global.clone().or_else(|| china.clone()), china.or(global));
        let both = [(Region::Global, for_global), (Region::China, for_china)];
        let endpoints = both.into_iter().map(|(region, api)| match api {
            Some(api) => Self::with_api(region, api),
            None => Ok(Self::of(region)),
        });
        endpoints.collect()
    }

    /// The same, with addresses as a person wrote them.
    ///
    /// # Errors
    /// When one is no URL, and as [`Endpoints::with_api`].
    pub fn from_texts(global: Option<&str>, china: Option<&str>) -> Result<Vec<Self>, BadEndpoint> {
        let url = |text: Option<&str>| text.map(Url::parse).transpose().map_err(|_| BadEndpoint("it is no URL"));
        Self::of_both(url(global)?, url(china)?)
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> Region {
        self.region
    }

    /// Base of the JSON API.
    #[must_use]
    pub fn api(&self) -> &Url {
        &self.api
    }

    /// Value of `Origin`.
    pub(crate) fn origin(&self) -> &'static str {
        self.web_app
    }

    /// Value of `qiwu-app-version`.
    pub(crate) fn app_version(&self) -> &'static str {
        self.app_version
    }

    /// A URL on the API host; the query is taken as it is, in its order.
    pub(crate) fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.api.clone();
        let path = format!("{}{path}", self.api.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(query);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for region in Region::ALL {
            assert_eq!(region.to_string().parse(), Ok(region));
        }
        assert!("Global".parse::<Region>().is_err());
    }

    #[test]
    fn real_hosts_are_the_documented_ones() {
        let url = |region| Endpoints::of(region).url("/service/x", Some("b=1&a=2")).to_string();
        assert_eq!(url(Region::Global), "https://prod.en.igpsport.com/service/x?b=1&a=2");
        assert_eq!(url(Region::China), "https://prod.zh.igpsport.com/service/x?b=1&a=2");
    }

    #[test]
    fn a_replaced_base_keeps_its_path_and_must_be_plain() {
        let with = |text: &str| Endpoints::with_api(Region::Global, text.parse().unwrap());
        let url = with("http://127.0.0.1:1/igp/").unwrap().url("/service/x", None);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/igp/service/x");
        assert_eq!(Endpoints::from_texts(Some("127.0.0.1"), None), Err(BadEndpoint("it is no URL")));
        for bad in ["ftp://h/", "http://u@h/", "http://u:p@h/", "http://h/?a", "http://h/#a"] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }
}
