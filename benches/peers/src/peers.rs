//! Actors on tokio: actix, ractor and kameo, each on a runtime of one thread.

use std::hint::black_box;

use crate::{ASKS, ENTITIES, MESSAGES, Measure, ROUNDS, begin_counting, busy, counted_bytes, scattered};

/// After how many messages the actors get their turn.
const BURST: u64 = 64;

#[derive(Default)]
struct Sensor {
    level: i64,
    low: i64,
    high: i64,
}

impl Sensor {
    fn level(&mut self, level: i64) {
        self.level = level;
        self.low = self.low.min(level);
        self.high = self.high.max(level);
    }
}

/// What the actors of one framework do.
trait Framework {
    type Address;
    async fn spawn() -> Self::Address;
    async fn tell(address: &Self::Address, level: i64);
    /// The level, once all that was told before is done.
    async fn ask(address: &Self::Address) -> i64;
}

async fn run<F: Framework>(measure: Measure) -> f64 {
    let count = if let Measure::Idle(count) = measure { count } else { ENTITIES };
    if measure == Measure::Tell || measure == Measure::Ask {
        let sensor = F::spawn().await;
        return match measure {
            Measure::Tell => ns_each(MESSAGES, async || tell_all::<F>(|_| &sensor).await).await,
            _ => {
                ns_each(ASKS, async || {
                    for _ in 0..ASKS {
                        black_box(F::ask(&sensor).await);
                    }
                })
                .await
            }
        };
    }
    begin_counting();
    let mut sensors = Vec::with_capacity(count as usize);
    for _ in 0..count {
        sensors.push(F::spawn().await);
    }
    for sensor in &sensors {
        F::ask(sensor).await;
    }
    if measure == Measure::Random {
        let sensor = |nth| &sensors[scattered(nth, ENTITIES) as usize];
        return ns_each(MESSAGES, async || tell_all::<F>(sensor).await).await;
    }
    counted_bytes() / count as f64
}

/// Tells as many as a round has, and waits until the last is done.
async fn tell_all<'s, F: Framework<Address: 's>>(sensor: impl Fn(u64) -> &'s F::Address) {
    for nth in 0..MESSAGES {
        F::tell(sensor(nth), nth as i64).await;
        if nth % BURST == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(F::ask(sensor(MESSAGES - 1)).await, MESSAGES as i64 - 1);
}

/// As [`crate::ns_each`].
async fn ns_each(count: u64, work: impl AsyncFn()) -> f64 {
    work().await;
    let mut values = Vec::new();
    for _ in 0..ROUNDS {
        let start = busy();
        work().await;
        values.push((busy() - start).as_nanos() as f64 / count as f64);
    }
    values.sort_by(f64::total_cmp);
    values[ROUNDS / 2]
}

fn on_tokio<F: Framework>(measure: Measure) -> Option<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Some(runtime.block_on(run::<F>(measure)))
}

// ---- actix ----

struct Actix;

#[derive(actix::Message)]
#[rtype(result = "()")]
struct ActixLevel(i64);

#[derive(actix::Message)]
#[rtype(result = "i64")]
struct ActixRead;

impl actix::Actor for Sensor {
    type Context = actix::Context<Sensor>;
}

impl actix::Handler<ActixLevel> for Sensor {
    type Result = ();
    fn handle(&mut self, message: ActixLevel, _: &mut Self::Context) {
        self.level(message.0);
    }
}

impl actix::Handler<ActixRead> for Sensor {
    type Result = i64;
    fn handle(&mut self, _: ActixRead, _: &mut Self::Context) -> i64 {
        self.level
    }
}

impl Framework for Actix {
    type Address = actix::Addr<Sensor>;
    async fn spawn() -> Self::Address {
        actix::Actor::start(Sensor::default())
    }
    async fn tell(address: &Self::Address, level: i64) {
        address.do_send(ActixLevel(level));
    }
    async fn ask(address: &Self::Address) -> i64 {
        address.send(ActixRead).await.expect("it lives")
    }
}

/// See [`Measure`].
pub fn actix(measure: Measure) -> Option<f64> {
    Some(actix::System::new().block_on(run::<Actix>(measure)))
}

// ---- ractor ----

struct Ractor;

struct RactorSensor;

enum RactorMessage {
    Level(i64),
    Read(ractor::RpcReplyPort<i64>),
}

impl ractor::Actor for RactorSensor {
    type Msg = RactorMessage;
    type State = Sensor;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ractor::ActorRef<RactorMessage>,
        (): (),
    ) -> Result<Sensor, ractor::ActorProcessingErr> {
        Ok(Sensor::default())
    }

    async fn handle(
        &self,
        _: ractor::ActorRef<RactorMessage>,
        message: RactorMessage,
        sensor: &mut Sensor,
    ) -> Result<(), ractor::ActorProcessingErr> {
        match message {
            RactorMessage::Level(level) => sensor.level(level),
            RactorMessage::Read(reply) => reply.send(sensor.level)?,
        }
        Ok(())
    }
}

impl Framework for Ractor {
    type Address = ractor::ActorRef<RactorMessage>;
    async fn spawn() -> Self::Address {
        ractor::Actor::spawn(None, RactorSensor, ()).await.expect("it starts").0
    }
    async fn tell(address: &Self::Address, level: i64) {
        address.cast(RactorMessage::Level(level)).expect("it lives");
    }
    async fn ask(address: &Self::Address) -> i64 {
        address.call(RactorMessage::Read, None).await.expect("it lives").expect("an answer")
    }
}

/// See [`Measure`].
pub fn ractor(measure: Measure) -> Option<f64> {
    on_tokio::<Ractor>(measure)
}

// ---- kameo ----

struct Kameo;

struct KameoLevel(i64);
struct KameoRead;

#[derive(Default, kameo::Actor)]
struct KameoSensor(Sensor);

impl kameo::message::Message<KameoLevel> for KameoSensor {
    type Reply = ();
    async fn handle(&mut self, message: KameoLevel, _: &mut kameo::message::Context<Self, ()>) {
        self.0.level(message.0);
    }
}

impl kameo::message::Message<KameoRead> for KameoSensor {
    type Reply = i64;
    async fn handle(&mut self, _: KameoRead, _: &mut kameo::message::Context<Self, i64>) -> i64 {
        self.0.level
    }
}

impl Framework for Kameo {
    type Address = kameo::actor::ActorRef<KameoSensor>;
    async fn spawn() -> Self::Address {
        use kameo::actor::Spawn as _;
        KameoSensor::spawn(KameoSensor::default())
    }
    async fn tell(address: &Self::Address, level: i64) {
        address.tell(KameoLevel(level)).await.expect("it lives");
    }
    async fn ask(address: &Self::Address) -> i64 {
        address.ask(KameoRead).await.expect("it lives")
    }
}

/// See [`Measure`].
pub fn kameo(measure: Measure) -> Option<f64> {
    on_tokio::<Kameo>(measure)
}
