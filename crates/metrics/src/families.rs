//! What documents a family of series, kept as each is registered: the source of `docs/metrics.md`.

use crate::labels::Label;
use crate::metrics::MetricsError;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricType;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::Arc;

/// Seconds; from a cached answer to the edge's own limit of 125 s.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 25.0, 125.0];

/// A family of series, as `# HELP` and `# TYPE` tell it.
#[derive(Debug, Clone)]
pub struct Family {
    /// Its name; those of a histogram's series go on with `_bucket`, `_sum`, `_count`.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Its meaning.
    pub help: String,
    /// Its labels, `le` of a histogram not among them.
    pub labels: &'static [Label],
}

/// The type of a family.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// It only grows, until its process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts durations, in seconds, up to each of these bounds, and all of them.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word of `# TYPE`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// What documents a series: name, help, labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [Label],
}

impl Series {
    fn opts(self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn durations(self) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(DURATIONS.to_vec())
    }

    fn names(self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }
}

/// Makes series, and registers and documents what it makes.
#[derive(Debug, Default)]
pub(crate) struct Register {
    registry: Registry,
    families: Vec<Family>,
}

impl Register {
    pub(crate) fn counter(&mut self, series: Series) -> Result<IntCounterVec, MetricsError> {
        self.add(series, Kind::Counter, IntCounterVec::new(series.opts(), &series.names())?)
    }

    pub(crate) fn gauge(&mut self, series: Series) -> Result<IntGaugeVec, MetricsError> {
        self.add(series, Kind::Gauge, IntGaugeVec::new(series.opts(), &series.names())?)
    }

    /// A gauge without labels.
    pub(crate) fn figure(&mut self, series: Series) -> Result<IntGauge, MetricsError> {
        self.add(series, Kind::Gauge, IntGauge::with_opts(series.opts())?)
    }

    /// A histogram without labels.
    pub(crate) fn duration(&mut self, series: Series) -> Result<Histogram, MetricsError> {
        self.add(series, Kind::Histogram(&DURATIONS), Histogram::with_opts(series.durations())?)
    }

    pub(crate) fn durations(&mut self, series: Series) -> Result<HistogramVec, MetricsError> {
        self.add(series, Kind::Histogram(&DURATIONS), HistogramVec::new(series.durations(), &series.names())?)
    }

    /// The usual figures of a process, whose types only its samples tell.
    pub(crate) fn process(&mut self, process: ProcessCollector) -> Result<(), MetricsError> {
        let samples = process.collect();
        let kind = |desc: &Desc| {
            let family = samples.iter().find(|family| family.name() == desc.fq_name);
            let counts = family.is_some_and(|family| family.get_field_type() == MetricType::COUNTER);
            if counts { Kind::Counter } else { Kind::Gauge }
        };
        self.families.extend(process.desc().into_iter().map(|desc| Family {
            name: desc.fq_name.clone(),
            kind: kind(desc),
            help: desc.help.clone(),
            labels: &[],
        }));
        Ok(self.registry.register(Box::new(process))?)
    }

    /// What was made, in the order of its making.
    pub(crate) fn made(self) -> (Registry, Arc<[Family]>) {
        (self.registry, self.families.into())
    }

    fn add<C: Collector + Clone + 'static>(&mut self, series: Series, kind: Kind, made: C) -> Result<C, MetricsError> {
        self.registry.register(Box::new(made.clone()))?;
        let Series { name, help, labels } = series;
        self.families.push(Family { name: name.to_owned(), kind, help: help.to_owned(), labels });
        Ok(made)
    }
}
