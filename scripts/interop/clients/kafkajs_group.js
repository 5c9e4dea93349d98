// kafkajs as a consumer, which it is in groups alone: two members share a topic of two partitions, one leaves, and what
// was committed is where the next begins.
//
//   node kafkajs_group.js BOOTSTRAP
'use strict'
const { Kafka, logLevel } = require('kafkajs')
const DEADLINE_MS = 60000

async function until(what, condition) {
  const end = Date.now() + DEADLINE_MS
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function member(kafka, groupId, topic) {
  const consumer = kafka.consumer({ groupId })
  const state = { consumer, values: [], assigned: [] }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => { state.assigned = payload.memberAssignment[topic] || [] })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => { state.values.push(message.value.toString()) } })
  return state
}

async function main(bootstrap) {
  const kafka = new Kafka({ clientId: 'thalweg-interop', brokers: [bootstrap], logLevel: logLevel.NOTHING })
  const topic = `interop-kafkajs-${process.pid}-${Date.now()}`
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true })
  const producer = kafka.producer()
  await producer.connect()
  const send = (from, to) => producer.send({
    topic, messages: Array.from({ length: to - from }, (_, at) => ({ value: String(from + at), partition: (from + at) % 2 }))
  })
  await send(0, 40)

  const first = await member(kafka, topic, topic)
  await until('the first has both', () => first.assigned.length === 2)
  const second = await member(kafka, topic, topic)
  await until('each has one', () => first.assigned.length === 1 && second.assigned.length === 1)
  await until('all is read', () => new Set([...first.values, ...second.values]).size === 40)
  await second.consumer.disconnect()
  await until('the first has both again', () => first.assigned.length === 2)
  await send(40, 80)
  await until('the rest is read', () => new Set([...first.values, ...second.values]).size === 80)
  await first.consumer.disconnect()

  await send(80, 82)
  const third = await member(kafka, topic, topic)
  await until('what is new is read', () => third.values.length >= 2)
  if (third.values.sort().join() !== '80,81') throw new Error(`it began elsewhere: ${third.values.slice(0, 5)}`)
  await third.consumer.disconnect()

  const described = await admin.describeGroups([topic])
  if (described.groups[0].state !== 'Empty') throw new Error(`the group is ${described.groups[0].state}`)
  const at = await admin.fetchTopicOffsetsByTimestamp(topic, 0)
  if (at.some(({ offset }) => offset !== '0')) throw new Error(`offsets at time 0: ${JSON.stringify(at)}`)
  await admin.deleteGroups([topic])
  await admin.deleteTopics({ topics: [topic] })
  await producer.disconnect()
  await admin.disconnect()
}

main(process.argv[2]).catch((error) => {
  console.error(error)
  process.exit(1)
})
