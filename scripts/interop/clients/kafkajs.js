// kafkajs as a producer; the interface is described in kcat.sh. It has gzip alone of the codecs built in, and can consume
// only as a member of a group (kafkajs_group.js): another client reads what it wrote.
'use strict'
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const fs = require('fs')

const RECORDS_PER_SEND = 5000

async function produce(bootstrap, topic, partition, codec) {
  const kafka = new Kafka({ clientId: 'thalweg-interop', brokers: [bootstrap], logLevel: logLevel.ERROR })
  const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }[codec]
  if (compression === undefined) throw new Error(`kafkajs has no ${codec}`)
  const where = partition === 'any' ? {} : { partition: Number(partition) }
  // Not readline: that also splits at U+2028, which is text here.
  const lines = fs.readFileSync(0, 'utf8').split('\n').slice(0, -1)
  const producer = kafka.producer()
  await producer.connect()
  for (let at = 0; at < lines.length; at += RECORDS_PER_SEND) {
    const messages = lines.slice(at, at + RECORDS_PER_SEND).map((value) => ({ value, ...where }))
    await producer.send({ topic, acks: -1, compression, messages })
  }
  await producer.disconnect()
}

const [command, ...options] = process.argv.slice(2)
const commands = { produce }
commands[command](...options).catch((error) => {
  console.error(error)
  process.exit(1)
})
