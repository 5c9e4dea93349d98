//! One piece of work per partition, done where each partition lives, results in the order of the questions.
//!
//! One mesh call per shard concerned, all at the same time; nothing crosses when everything is at home here. The work
//! starts in the order of the questions on every shard, so batches of one producer stay in order.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use thalweg_engine::id::ShardId;

use crate::shard::ServerShard;

/// Asks `work` for an answer to every question on its shard. `None`: that shard has ended.
///
/// `work` returns exactly one answer per question, in order. Questions and answers are moved, never copied.
pub async fn scatter<Q, R, Fut>(
    shard: &Rc<ServerShard>,
    questions: Vec<(ShardId, Q)>,
    work: fn(Rc<ServerShard>, Vec<Q>) -> Fut,
) -> Vec<Option<R>>
where
    Q: Send + 'static,
    R: Send + 'static,
    Fut: Future<Output = Vec<R>> + 'static,
{
    if questions.iter().all(|(home, _)| *home == shard.id) {
        let here = questions.into_iter().map(|(_, question)| question).collect();
        return work(Rc::clone(shard), here).await.into_iter().map(Some).collect();
    }
    let mut answers: Vec<Option<R>> = questions.iter().map(|_| None).collect();
    let calls = by_shard(questions, shard.shards).into_iter().map(|(target, places, questions)| async move {
        let answered = shard.mesh().call(target, move |there| work(there, questions)).await;
        (places, answered)
    });
    for (places, answered) in join_all(calls.collect()).await {
        let Ok(answered) = answered else { continue };
        for (place, answer) in places.into_iter().zip(answered) {
            answers[place] = Some(answer);
        }
    }
    answers
}

/// Questions of one shard, with their places among all.
type Group<Q> = (ShardId, Vec<usize>, Vec<Q>);

fn by_shard<Q>(questions: Vec<(ShardId, Q)>, shards: u16) -> Vec<Group<Q>> {
    let mut groups: Vec<Group<Q>> =
        (0..shards).map(|shard| (ShardId(shard), Vec::new(), Vec::new())).collect();
    for (place, (home, question)) in questions.into_iter().enumerate() {
        let (_, places, asked) = &mut groups[usize::from(home.0)];
        places.push(place);
        asked.push(question);
    }
    groups.retain(|(_, places, _)| !places.is_empty());
    groups
}

/// Runs all futures at the same time; outputs in their order. They are first polled in order.
pub async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_some() {
                continue;
            }
            match future.as_mut().poll(cx) {
                Poll::Ready(ready) => *output = Some(ready),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_places_and_order() {
        let questions = vec![(ShardId(2), 'a'), (ShardId(0), 'b'), (ShardId(2), 'c')];
        let groups = by_shard(questions, 3);
        assert_eq!(groups, [(ShardId(0), vec![1], vec!['b']), (ShardId(2), vec![0, 2], vec!['a', 'c'])]);
    }
}
