//! Registers in the catalog of Consul's servers, on nodes without an agent: an agent that has 10,000 instances itself would
//! be measured more than its servers and those who follow.

use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::body::Bytes;

use crate::Result;
use crate::put::{Store, address, on_consul};
use crate::put_consul::Consul;

/// Instances of one node.
const NODE: u32 = 100;

pub(crate) struct Catalog(Consul);

impl Catalog {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self> {
        Ok(Catalog(Consul::connect(endpoint).await?))
    }

    fn registration(
        &self,
        service: &str,
        number: u32,
        n: u32,
        node_is_there: bool,
    ) -> Result<Request<Full<Bytes>>> {
        let address = address(number);
        let id = format!("{address}:8080");
        let own = format!("{id}~{service}");
        let body = serde_json::json!({
            "Node": format!("node-{}", number / NODE), "Address": "10.0.0.1", "SkipNodeUpdate": node_is_there,
            "Service": on_consul("Service", service, number, n),
            "Check": {
                "CheckID": format!("callsheet:{own}"), "Name": "callsheet: the process renews this",
                "ServiceID": own, "Status": "passing",
            },
        });
        self.0.request(Method::PUT, "/v1/catalog/register", body.to_string())
    }
}

impl Store for Catalog {
    type Put = Request<Full<Bytes>>;

    fn prepare(&self, service: &str, number: u32, n: u32) -> Result<Self::Put> {
        self.registration(service, number, n, true)
    }

    async fn put(&mut self, request: Self::Put) -> Result<()> {
        self.0.answer(request).await?;
        Ok(())
    }

    async fn seed(&mut self, service: &str, count: u32) -> Result<()> {
        for number in 0..count {
            let request = self.registration(service, number, 0, number % NODE != 0)?;
            self.put(request).await?;
        }
        Ok(())
    }
}
