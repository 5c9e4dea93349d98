// kafkajs as an administrator: the life of a topic, and of a group without members.
//
//   node kafkajs_admin.js BOOTSTRAP
'use strict'
const { Kafka, ConfigResourceTypes, logLevel } = require('kafkajs')

function expect (what, condition) {
  if (!condition) throw new Error(what)
  console.log(what, 'ok')
}

async function main (bootstrap) {
  const kafka = new Kafka({ clientId: 'thalweg-interop', brokers: [bootstrap], logLevel: logLevel.NOTHING })
  const topic = `interop-admin-kafkajs-${process.pid}`
  const admin = kafka.admin()
  await admin.connect()
  const configEntries = [{ name: 'segment.bytes', value: '1048576' }]
  const wanted = { topics: [{ topic, numPartitions: 2, configEntries }], waitForLeaders: true }
  expect('created', await admin.createTopics(wanted))
  expect('an existing topic is not created', !(await admin.createTopics(wanted)))
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  expect('listed', (await admin.listTopics()).includes(topic))
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  expect('3 partitions', topics[0].partitions.length === 3)

  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const value = async (name) => {
    const { resources } = await admin.describeConfigs({ resources: [{ ...resource, configNames: [name] }], includeSynonyms: false })
    return resources[0].configEntries[0].configValue
  }
  expect('its segment.bytes', await value('segment.bytes') === '1048576')
  // Not incremental: what is not named goes back to its default.
  await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '60000' }] }] })
  expect('its retention.ms', await value('retention.ms') === '60000')
  expect('segment.bytes is the default again', await value('segment.bytes') === '1073741824')

  await admin.setOffsets({ groupId: topic, topic, partitions: [{ partition: 0, offset: '0' }] })
  expect('the group is listed', (await admin.listGroups()).groups.some(({ groupId }) => groupId === topic))
  const { groups } = await admin.describeGroups([topic])
  expect('the group is empty', groups[0].state === 'Empty')
  const [{ partitions }] = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
  expect('offset 0 is committed', partitions.find(({ partition }) => partition === 0).offset === '0')
  await admin.deleteGroups([topic])
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}

main(process.argv[2]).catch((error) => {
  console.error(error)
  process.exit(1)
})
