//! Requests about many groups at once: each is looked at where it lives, one after the other, with others of the shard in
//! between. What comes back is bounded.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::reactor::sync::oneshot;

use super::action::GroupError;
use super::call::{Fetched, Naming, fetch_here, locate, settled};
use super::describe::Described;
use super::expiry;
use crate::bounds::GROUPS_ANSWER_BYTES_MAX;
use crate::scatter::scatter;
use crate::shard::ServerShard;

/// What is asked about one group, where it lives.
type Question<Q> = (PartitionId, StrBytes, Q);

/// Of work on several groups, in their order.
type Results<R> = Pin<Box<dyn Future<Output = Vec<Result<R, GroupError>>>>>;

/// On the shard that these groups live on.
type Work<Q, R> = fn(Rc<ServerShard>, Vec<Question<Q>>) -> Results<R>;

/// Work on many groups, each where it lives; results in their order.
async fn on_groups<Q: Send + 'static, R: Send + 'static>(
    shard: &Rc<ServerShard>,
    groups: Vec<(StrBytes, Q)>,
    work: Work<Q, R>,
) -> Vec<Result<R, GroupError>> {
    let mut places = Vec::with_capacity(groups.len());
    let mut questions: Vec<(ShardId, Question<Q>)> = Vec::with_capacity(groups.len());
    for (group, question) in groups {
        let place = locate(shard, &group, Naming::Any);
        places.push(place.map(|partition| {
            questions.push((shard.home(partition), (partition, group, question)));
        }));
    }
    let mut answers = scatter(shard, questions, work).await.into_iter();
    let answer = |place: Result<(), _>| match place {
        Ok(()) => answers.next().flatten().unwrap_or(Err(GroupError::NotAvailable)),
        Err(error) => Err(error),
    };
    places.into_iter().map(answer).collect()
}

/// What one shard may still put into an answer. The group that goes beyond is told whole; those after it have to be asked for
/// again.
struct Room {
    bytes: usize,
}

impl Room {
    /// # Errors
    /// [`GroupError::NotAvailable`], on which an administrator's client asks again for those that are left.
    fn check(&self) -> Result<(), GroupError> {
        if self.bytes == 0 { Err(GroupError::NotAvailable) } else { Ok(()) }
    }

    fn take(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Asks about one group after the other, until there is no room for more.
async fn one_by_one<Q, R>(
    shard: Rc<ServerShard>,
    questions: Vec<Question<Q>>,
    ask: impl Fn(&Rc<ServerShard>, Question<Q>) -> Result<R, GroupError>,
    bytes: impl Fn(&R) -> usize,
) -> Vec<Result<R, GroupError>> {
    let mut room = Room { bytes: GROUPS_ANSWER_BYTES_MAX };
    let mut results = Vec::with_capacity(questions.len());
    for question in questions {
        if !results.is_empty() {
            shard.io.yield_now().await;
        }
        let result = room.check().and_then(|()| ask(&shard, question));
        room.take(result.as_ref().map_or(0, &bytes));
        results.push(result);
    }
    results
}

/// A group, and the partitions that are wanted of it; None for all.
pub type Wanted = (StrBytes, Option<Vec<(StrBytes, i32)>>);

/// What groups committed: [`fetch`](super::fetch) for each.
pub async fn fetch_several(
    shard: &Rc<ServerShard>,
    groups: Vec<Wanted>,
) -> Vec<Result<Vec<Fetched>, GroupError>> {
    on_groups(shard, groups, |there, questions| {
        Box::pin(one_by_one(
            there,
            questions,
            |there, (partition, group, wanted)| {
                let home = there.groups.home(there, partition)?;
                Ok(fetch_here(&home, &group, wanted))
            },
            |fetched| fetched.iter().map(fetched_bytes).sum(),
        ))
    })
    .await
}

fn fetched_bytes((topic, _, committed): &Fetched) -> usize {
    size_of::<Fetched>() + topic.len() + committed.as_ref().map_or(0, |committed| committed.metadata.len())
}

/// Describes groups; None for one that does not exist.
pub async fn describe(
    shard: &Rc<ServerShard>,
    groups: Vec<StrBytes>,
) -> Vec<Result<Option<Described>, GroupError>> {
    let groups = groups.into_iter().map(|group| (group, ())).collect();
    on_groups(shard, groups, |there, questions| {
        Box::pin(one_by_one(
            there,
            questions,
            |there, (partition, group, ())| {
                let home = there.groups.home(there, partition)?;
                Ok(home.slot(&group).map(|slot| slot.group.borrow().describe()))
            },
            |described| described.as_ref().map_or(0, Described::bytes),
        ))
    })
    .await
}

/// Deletes groups with all their offsets; gone for good when it returns.
pub async fn delete(shard: &Rc<ServerShard>, groups: Vec<StrBytes>) -> Vec<Result<(), GroupError>> {
    let groups = groups.into_iter().map(|group| (group, ())).collect();
    on_groups(shard, groups, |there, questions| Box::pin(delete_here(there, questions))).await
}

async fn delete_here(shard: Rc<ServerShard>, questions: Vec<Question<()>>) -> Vec<Result<(), GroupError>> {
    let mut begun = Vec::with_capacity(questions.len());
    for (partition, group, ()) in questions {
        let begin = || {
            let home = shard.groups.home(&shard, partition)?;
            let slot = home.slot(&group).ok_or(GroupError::NotFound)?;
            let (done, stored) = oneshot();
            expiry::remove_group(&shard, &home, &slot, Some(done))?;
            Ok(stored)
        };
        begun.push(begin());
        shard.io.yield_now().await;
    }
    let mut results = Vec::with_capacity(begun.len());
    for begun in begun {
        results.push(match begun {
            Ok(stored) => settled(stored).await,
            Err(error) => Err(error),
        });
    }
    results
}
