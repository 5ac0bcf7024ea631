//! Puts into etcd, below a prefix.

use etcd_client::{Client, Txn, TxnOp};

use crate::Result;
use crate::put::{Store, address};

/// How many operations a transaction of etcd's may have.
const OPERATIONS: u32 = 100;

pub(crate) struct Etcd(Client);

impl Etcd {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self> {
        Ok(Etcd(Client::connect([endpoint], None).await?))
    }
}

impl Store for Etcd {
    /// Key and value.
    type Put = (String, String);

    /// An instance as callsheet writes it.
    fn prepare(&self, prefix: &str, number: u32, n: u32) -> Result<Self::Put> {
        let address = address(number);
        let id = format!("{address}:8080");
        let value = serde_json::json!({
            "id": id, "service": "billing", "address": address, "port": 8080, "scheme": "http", "tags": ["v2"],
            "metadata": {"n": n.to_string(), "team": "pay"}, "weight": 1, "zone": "eu-1a", "version": "1.4.2",
            "status": "passing", "owner": "node-7.3f2a9c10d4b8e65f/4711-8f14e45fceea167a",
        });
        Ok((format!("{prefix}{id}"), value.to_string()))
    }

    async fn put(&mut self, (key, value): Self::Put) -> Result<()> {
        self.0.put(key, value, None).await?;
        Ok(())
    }

    async fn seed(&mut self, prefix: &str, count: u32) -> Result<()> {
        for first in (0..count).step_by(OPERATIONS as usize) {
            let numbers = first..count.min(first + OPERATIONS);
            let puts = numbers.map(|number| self.prepare(prefix, number, 0));
            let puts = puts.map(|put| put.map(|(key, value)| TxnOp::put(key, value, None)));
            self.0.txn(Txn::new().and_then(puts.collect::<Result<Vec<_>>>()?)).await?;
        }
        Ok(())
    }
}
