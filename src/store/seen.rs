//! Notes the headers of an answer that the SDK's output types leave out.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// One header of the newest answer to the request that it goes along with, refusals included.
#[derive(Debug, Clone)]
pub(super) struct SeenHeader {
    name: &'static str,
    value: Arc<Mutex<Option<String>>>,
}

impl SeenHeader {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, value: Arc::default() }
    }

    pub(super) fn value(&self) -> Option<String> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for SeenHeader {
    fn name(&self) -> &'static str {
        "seen header"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let value = context.response().headers().get(self.name).map(str::to_owned);
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
        Ok(())
    }
}
