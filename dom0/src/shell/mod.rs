#[embassy_executor::task] pub async fn run() {}
