// An MCP server with what the conformance suite asks servers for, in all revisions: plain Node, no packages.
//
//     node conformance_server.mjs PORT [legacy|modern|both]
//
// The era says what it speaks: revisions with sessions, 2026-07-28, or either, as the client chooses. A tool is written once: it asks the client with
// `context.ask`, which is a request on the call's stream in a session and an input_required result otherwise. It serves loopback only.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';

const port = Number(process.argv[2] ?? 0);
const era = process.argv[3] ?? 'both';
const NEWEST = '2026-07-28';
const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26'];
const META = 'io.modelcontextprotocol/';
const INFO = { name: 'ostrom-conformance-server', version: '1.0.0' };
const INVALID = -32602, UNKNOWN = -32601, MISMATCH = -32020, CAPABILITY = -32021, VERSION = -32022;
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const SILENCE = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
const secret = randomBytes(32);

class Failure extends Error {
  constructor(code, message, data, status = 400) {
    super(message);
    Object.assign(this, { code, data, status });
  }
  get body() {
    return { code: this.code, message: this.message, ...(this.data === undefined ? {} : { data: this.data }) };
  }
}

/** Thrown by `ask` where the client answers by calling again. */
class InputRequired extends Error {
  constructor(requests, state) {
    super('input required');
    this.result = { resultType: 'input_required', inputRequests: requests, ...(state ? { requestState: state } : {}) };
  }
}

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const text = (words) => ({ content: [{ type: 'text', text: words }] });
const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const form = (message, properties, required = Object.keys(properties)) => ({
  method: 'elicitation/create',
  params: { message, requestedSchema: { type: 'object', properties, required } },
});
const sample = (words, maxTokens = 100) => ({
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: { type: 'text', text: words } }], maxTokens },
});
const roots = { method: 'roots/list', params: {} };
const capabilityOf = (method) => method.split('/')[0];

function seal(value) {
  const body = Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}
function open(sealed) {
  const [body, mac] = String(sealed).split('.');
  if (mac !== createHmac('sha256', secret).update(body).digest('base64url')) throw new Failure(INVALID, 'requestState is not ours');
  return JSON.parse(Buffer.from(body, 'base64url'));
}

// ---- what it offers ----

const said = (answer) => `action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`;
const ANY = { type: 'object', properties: {} };
const needs = (name) => ({ type: 'object', properties: { [name]: { type: 'string' } }, required: [name] });
const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object',
  $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } } },
  properties: {
    name: { type: 'string' }, address: { $ref: '#/$defs/address' }, contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' }, email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] }, else: { required: ['email'] }, additionalProperties: false,
};
const logs = async (_, context) => {
  for (const words of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
    context.log('info', words);
    await wait(50);
  }
  return text('logged');
};
const named = (field, message) => form(message, { [field]: { type: 'string' } });

/** name: [description, input schema, what it does] */
const tools = {
  test_simple_text: ['Simple text', ANY, () => text('This is a simple text response for testing.')],
  test_image_content: ['An image', ANY, () => ({ content: [image] })],
  test_audio_content: ['A sound', ANY, () => ({ content: [{ type: 'audio', data: SILENCE, mimeType: 'audio/wav' }] })],
  test_embedded_resource: ['A resource', ANY, () => ({
    content: [{ type: 'resource', resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' } }],
  })],
  test_multiple_content_types: ['All kinds', ANY, () => ({
    content: [{ type: 'text', text: 'Multiple content types test:' }, image, {
      type: 'resource',
      resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data","value":123}' },
    }],
  })],
  test_tool_with_logging: ['Logs three times', ANY, logs],
  test_logging_tool: ['Logs three times', ANY, logs],
  test_tool_with_progress: ['Reports progress', ANY, async (_, context) => {
    for (const progress of [0, 50, 100]) {
      context.progress(progress, 100);
      await wait(50);
    }
    return text('done');
  }],
  test_error_handling: ['Fails', ANY, () => ({ ...text('This tool intentionally returns an error for testing'), isError: true })],
  test_reconnection: ['Closes its stream', ANY, async (_, context) => {
    context.cut();
    await wait(100);
    return text('Reconnection test completed successfully.');
  }],
  test_sampling: ['Asks the model', needs('prompt'), async ({ prompt }, context) => {
    const { answer } = await context.ask({ answer: sample(prompt) });
    return text(`LLM response: ${answer.content?.text}`);
  }],
  test_elicitation: ['Asks the user', needs('message'), async ({ message }, context) => {
    const { answer } = await context.ask({ answer: form(message, { username: { type: 'string' }, email: { type: 'string' } }) });
    return text(`User response: ${said(answer)}`);
  }],
  test_elicitation_sep1034_defaults: ['Asks with defaults', ANY, async (_, context) => {
    const { answer } = await context.ask({
      answer: form('Please review', {
        name: { type: 'string', default: 'John Doe' }, age: { type: 'integer', default: 30 }, score: { type: 'number', default: 95.5 },
        status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' }, verified: { type: 'boolean', default: true },
      }, []),
    });
    return text(`Elicitation completed: ${said(answer)}`);
  }],
  test_elicitation_sep1330_enums: ['Asks for choices', ANY, async (_, context) => {
    const options = ['option1', 'option2', 'option3'];
    const titled = ['value1', 'value2', 'value3'].map((value, at) => ({ const: value, title: ['First', 'Second', 'Third'][at] }));
    const { answer } = await context.ask({
      answer: form('Please choose', {
        untitledSingle: { type: 'string', enum: options }, titledSingle: { type: 'string', oneOf: titled },
        legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['One', 'Two', 'Three'] },
        untitledMulti: { type: 'array', items: { type: 'string', enum: options } }, titledMulti: { type: 'array', items: { anyOf: titled } },
      }, []),
    });
    return text(`Elicitation completed: ${said(answer)}`);
  }],
  json_schema_2020_12_tool: ['Tool with JSON Schema 2020-12 features', SCHEMA_2020_12, () => text('fine')],
  test_custom_headers: ['Mirrors an argument in a header', {
    type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } }, required: ['region'],
  }, ({ region }) => text(`region ${region}`)],
  test_missing_capability: ['Needs sampling', ANY, (_, context) => {
    context.require('sampling');
    return text('the client can sample');
  }],
  test_streaming_elicitation: ['Asks the user', ANY, async (_, context) => {
    const { user_name: answer } = await context.ask({ user_name: named('name', 'What is your name?') });
    return text(said(answer));
  }],
  test_trigger_tool_change: ['Says that the tools changed', ANY, () => (tell('notifications/tools/list_changed'), text('told'))],
  test_trigger_prompt_change: ['Says that the prompts changed', ANY, () => (tell('notifications/prompts/list_changed'), text('told'))],
  test_input_required_result_elicitation: ['Asks the user', ANY, async (_, context) => {
    const { user_name: answer } = await context.ask({ user_name: named('name', 'What is your name?') }, { stateless: true });
    return text(`Hello, ${answer.content?.name}!`);
  }],
  test_input_required_result_sampling: ['Asks the model', ANY, async (_, context) => {
    const { capital_question: answer } = await context.ask({ capital_question: sample('What is the capital of France?') }, { stateless: true });
    return text(`The model says: ${answer.content?.text}`);
  }],
  test_input_required_result_list_roots: ['Asks for roots', ANY, async (_, context) => {
    const { client_roots: answer } = await context.ask({ client_roots: roots }, { stateless: true });
    return text(`Roots: ${answer.roots?.map((root) => root.uri).join(', ')}`);
  }],
  test_input_required_result_request_state: ['Asks with state', ANY, async (_, context) => {
    await context.ask({ confirm: form('Please confirm', { ok: { type: 'boolean' } }) });
    return text('state-ok');
  }],
  test_input_required_result_multiple_inputs: ['Asks three things', ANY, async (_, context) => {
    const all = await context.ask({
      user_name: named('name', 'What is your name?'), greeting: sample('Generate a greeting', 50), client_roots: roots,
    });
    return text(`${all.greeting.content?.text}, ${all.user_name.content?.name}: ${all.client_roots.roots?.length} roots`);
  }],
  test_input_required_result_multi_round: ['Asks twice', ANY, async (_, context) => {
    const { step1 } = await context.ask({ step1: named('name', 'Step 1: What is your name?') });
    const { step2 } = await context.ask({ step2: named('color', 'Step 2: What is your favorite color?') });
    return text(`${step1.content?.name} likes ${step2.content?.color}`);
  }],
  test_input_required_result_tampered_state: ['Asks with state', ANY, async (_, context) => {
    await context.ask({ confirm: form('Please confirm', { ok: { type: 'boolean' } }) });
    return text('state-ok');
  }],
  test_input_required_result_capabilities: ['Asks what the client can answer', ANY, async (_, context) => {
    const all = { user_name: named('name', 'What is your name?'), greeting: sample('Generate a greeting', 50), client_roots: roots };
    const can = Object.entries(all).filter(([, request]) => context.capabilities[capabilityOf(request.method)]);
    return text(JSON.stringify(await context.ask(Object.fromEntries(can))));
  }],
  test_on_the_second_page: ['Is on the second page', ANY, () => text('found')],
};
const toolList = Object.entries(tools).map(([name, [description, inputSchema]]) => ({ name, description, inputSchema }));

const prompts = {
  test_simple_prompt: [[], () => [{ type: 'text', text: 'This is a simple prompt for testing.' }]],
  test_prompt_with_arguments: [['arg1', 'arg2'], ({ arg1, arg2 }) => [{ type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }]],
  test_prompt_with_embedded_resource: [['resourceUri'], ({ resourceUri }) => [
    { type: 'resource', resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } },
    { type: 'text', text: 'Please process the embedded resource above.' },
  ]],
  test_prompt_with_image: [[], () => [image, { type: 'text', text: 'Please analyze the image above.' }]],
  test_input_required_result_prompt: [[], async (_, context) => {
    const { user_context: answer } = await context.ask({ user_context: named('context', 'What context should the prompt use?') }, { stateless: true });
    return [{ type: 'text', text: `Use this context: ${answer.content?.context}` }];
  }],
};
const promptList = Object.entries(prompts).map(([name, [wanted]]) => ({
  name, description: `The prompt ${name}`, arguments: wanted.map((one) => ({ name: one, description: `The argument ${one}`, required: true })),
}));

const resourceList = [
  { uri: 'test://static-text', name: 'static-text', description: 'A text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'static-binary', description: 'A picture', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'watched-resource', description: 'To subscribe to', mimeType: 'text/plain' },
];
const templateList = [
  { uriTemplate: 'test://template/{id}/data', name: 'template', description: 'A template', mimeType: 'application/json' },
];
function contents(uri) {
  if (uri === 'test://static-text') return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' };
  if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: PIXEL };
  if (uri === 'test://watched-resource') return { uri, mimeType: 'text/plain', text: 'Watched resource content.' };
  const [, id] = /^test:\/\/template\/([^/]+)\/data$/.exec(uri) ?? [];
  if (id) return { uri, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) };
  return null;
}

/** A page of a list: two of everything, but tools, whose last one only is on the second page. */
function page(key, all, cursor) {
  const size = key === 'tools' ? all.length - 1 : 2;
  const start = cursor === undefined ? 0 : Number(cursor);
  if (!Number.isInteger(start) || start < 0 || start > all.length) throw new Failure(INVALID, 'no such cursor');
  const end = start + size;
  return { [key]: all.slice(start, end), ...(end < all.length ? { nextCursor: String(end) } : {}) };
}

/** The methods that both eras have. `cacheable` is what 2026-07-28 adds. */
async function answer(method, params, context) {
  const cacheable = (result) => (context.modern ? { ...result, ttlMs: 0, cacheScope: 'private' } : result);
  switch (method) {
    case 'tools/list': return cacheable(page('tools', toolList, params.cursor));
    case 'prompts/list': return cacheable(page('prompts', promptList, params.cursor));
    case 'resources/list': return cacheable(page('resources', resourceList, params.cursor));
    case 'resources/templates/list': return cacheable(page('resourceTemplates', templateList, params.cursor));
    case 'resources/read': {
      const found = contents(params.uri);
      if (!found) throw new Failure(context.modern ? INVALID : -32002, 'Resource not found', { uri: params.uri }, 200);
      return cacheable({ contents: [found] });
    }
    case 'tools/call': {
      const tool = Object.hasOwn(tools, params.name) && tools[params.name];
      if (!tool) throw new Failure(INVALID, `unknown tool ${params.name}`, undefined, 200);
      return tool[2](params.arguments ?? {}, context);
    }
    case 'prompts/get': {
      const prompt = Object.hasOwn(prompts, params.name) && prompts[params.name];
      if (!prompt) throw new Failure(INVALID, `unknown prompt ${params.name}`, undefined, 200);
      const parts = await prompt[1](params.arguments ?? {}, context);
      return { messages: parts.map((content) => ({ role: 'user', content })) };
    }
    case 'completion/complete': {
      const values = ['paris', 'park', 'party'].filter((value) => value.startsWith(params.argument?.value ?? ''));
      return { completion: { values, total: values.length, hasMore: false } };
    }
    default: throw new Failure(UNKNOWN, `unknown method ${method}`, undefined, context.modern ? 404 : 200);
  }
}
const capabilities = {
  tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true }, completions: {}, logging: {},
};

// ---- streams ----

const listeners = new Set();
/** Says that something changed to all who listen for it. */
function tell(method, params = {}) {
  for (const listener of listeners) if (listener.wants(method, params)) listener.send(method, params);
}
const message = (body) => ({ jsonrpc: '2.0', ...body });
function start(response, extra = {}) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...extra });
}
function reply(response, status, body, extra = {}) {
  if (body === null) return response.writeHead(status, extra).end();
  response.writeHead(status, { 'content-type': 'application/json', ...extra }).end(JSON.stringify(body));
}

// ---- 2026-07-28 ----

const decoded = (value) => {
  const [, inner] = /^=\?base64\?(.*)\?=$/.exec(value ?? '') ?? [];
  if (inner === undefined) return value;
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(inner)) throw new Failure(MISMATCH, 'a header is no valid base64');
  return Buffer.from(inner, 'base64').toString();
};
function checkModern({ headers }, { method, params }) {
  const meta = params?._meta, version = meta?.[`${META}protocolVersion`];
  if (typeof version !== 'string') throw new Failure(INVALID, `_meta needs ${META}protocolVersion`);
  if (typeof meta[`${META}clientCapabilities`] !== 'object') throw new Failure(INVALID, `_meta needs ${META}clientCapabilities`);
  const same = (name, wanted) => {
    if (decoded(headers[name]) !== wanted) throw new Failure(MISMATCH, `the header ${name} differs from the body`);
  };
  same('mcp-protocol-version', version);
  if (version !== NEWEST) throw new Failure(VERSION, 'unsupported protocol version', { supported: [NEWEST], requested: version });
  same('mcp-method', method);
  const name = { 'tools/call': params.name, 'prompts/get': params.name, 'resources/read': params.uri }[method];
  if (name !== undefined) same('mcp-name', name);
  const properties = method === 'tools/call' && Object.hasOwn(tools, name) ? tools[name][1].properties : {};
  for (const [argument, schema] of Object.entries(properties)) {
    const value = params.arguments?.[argument];
    if (schema['x-mcp-header'] && value !== undefined) same(`mcp-param-${schema['x-mcp-header'].toLowerCase()}`, String(value));
  }
}

function modernContext(params, notify) {
  const meta = params._meta;
  const earlier = params.requestState === undefined ? [] : open(params.requestState);
  const given = params.inputResponses;
  if (given !== undefined && (given === null || typeof given !== 'object' || Object.values(given).some((one) => one === null || typeof one !== 'object'))) {
    throw new Failure(INVALID, 'inputResponses is an object of result objects');
  }
  let round = 0;
  return {
    modern: true,
    capabilities: meta[`${META}clientCapabilities`],
    require(name) {
      if (!this.capabilities[name]) throw new Failure(CAPABILITY, `the client must declare ${name}`, { requiredCapabilities: { [name]: {} } });
    },
    log: (level, data) => meta[`${META}logLevel`] && notify('notifications/message', { level, data }),
    progress: (progress, total) => meta.progressToken !== undefined && notify('notifications/progress', { progressToken: meta.progressToken, progress, total }),
    cut() {},
    async ask(requests, { stateless = false } = {}) {
      for (const request of Object.values(requests)) this.require(capabilityOf(request.method));
      const at = round;
      round += 1;
      if (at < earlier.length) return earlier[at];
      const here = at === earlier.length ? given ?? {} : {};
      if (Object.keys(requests).every((key) => Object.hasOwn(here, key))) {
        const answers = Object.fromEntries(Object.keys(requests).map((key) => [key, here[key]]));
        earlier.push(answers);
        return answers;
      }
      throw new InputRequired(requests, stateless ? undefined : seal(earlier));
    },
  };
}

async function modern(request, response, body) {
  const { id, method, params = {} } = body;
  const fail = (error) => {
    const failure = error instanceof Failure ? error : new Failure(-32603, String(error), undefined, 500);
    const answer = message({ id, error: failure.body });
    if (response.headersSent) response.end(`data: ${JSON.stringify(answer)}\n\n`);
    else reply(response, failure.status, answer);
  };
  try {
    checkModern(request, body);
    if (id === undefined) return reply(response, 202, null);
    const identity = { _meta: { [`${META}serverInfo`]: INFO } };
    if (method === 'server/discover') {
      const found = { resultType: 'complete', supportedVersions: [NEWEST], capabilities, ttlMs: 0, cacheScope: 'private', ...identity };
      return reply(response, 200, message({ id, result: found }));
    }
    if (method === 'subscriptions/listen') return listen(response, id, params);
    const notify = (name, values) => {
      if (!response.headersSent) start(response);
      response.write(`data: ${JSON.stringify(message({ method: name, params: values }))}\n\n`);
    };
    let result;
    try {
      result = { resultType: 'complete', ...(await answer(method, params, modernContext(params, notify))) };
    } catch (error) {
      if (!(error instanceof InputRequired)) throw error;
      result = error.result;
    }
    const whole = message({ id, result: { ...result, ...identity } });
    if (response.headersSent) response.end(`data: ${JSON.stringify(whole)}\n\n`);
    else reply(response, 200, whole);
  } catch (error) {
    fail(error);
  }
}

function listen(response, id, { notifications: wanted = {} }) {
  const tag = { _meta: { [`${META}subscriptionId`]: id } };
  const send = (method, params) => response.write(`data: ${JSON.stringify(message({ method, params: { ...params, ...tag } }))}\n\n`);
  start(response);
  send('notifications/subscriptions/acknowledged', { notifications: wanted });
  const key = (method) => `${method.split('/')[1]}ListChanged`;
  const listener = {
    send,
    wants: (method, { uri }) => (uri ? (wanted.resourceSubscriptions ?? []).includes(uri) : wanted[key(method)] === true),
  };
  listeners.add(listener);
  response.on('close', () => listeners.delete(listener));
}

// ---- the revisions with sessions ----

const sessions = new Map();

/** One stream of events of a session, which can be taken up again after its connection was closed. */
class Stream {
  constructor(session, response) {
    Object.assign(this, { id: randomUUID(), session, response, events: [], ended: false });
    session.streams.set(this.id, this);
    start(response, { 'mcp-session-id': session.id });
    response.write(`id: ${this.id}_0\nretry: 50\ndata: \n\n`);
  }
  send(body) {
    this.events.push(`id: ${this.id}_${this.events.length + 1}\nevent: message\ndata: ${JSON.stringify(message(body))}\n\n`);
    this.response?.write(this.events.at(-1));
  }
  cut() {
    this.response?.end();
    this.response = null;
  }
  end() {
    this.ended = true;
    this.cut();
  }
  resume(response, after) {
    start(response, { 'mcp-session-id': this.session.id });
    for (const event of this.events.slice(after)) response.write(event);
    if (this.ended) response.end();
    else this.response = response;
  }
}

function legacyContext(session, params, stream) {
  const ask = ({ method, params: question }) => {
    if (!session.capabilities[capabilityOf(method)]) throw new Failure(INVALID, `the client has no ${capabilityOf(method)}`);
    session.asked += 1;
    const id = session.asked;
    stream.send({ id, method, params: question });
    return new Promise((done, failed) => session.open.set(id, { done, failed }));
  };
  return {
    modern: false,
    capabilities: session.capabilities,
    require: (name) => {
      if (!session.capabilities[name]) throw new Failure(INVALID, `the client has no ${name}`);
    },
    log: (level, data) => stream.send({ method: 'notifications/message', params: { level, data } }),
    progress: (progress, total) => {
      const progressToken = params._meta?.progressToken;
      if (progressToken !== undefined) stream.send({ method: 'notifications/progress', params: { progressToken, progress, total } });
    },
    cut: () => stream.cut(),
    ask: async (requests) => Object.fromEntries(await Promise.all(Object.entries(requests).map(async ([key, one]) => [key, await ask(one)]))),
  };
}

async function legacy(request, response, body) {
  if (request.method !== 'POST') return legacyOther(request, response);
  const fail = (status, code, words) => reply(response, status, message({ id: body?.id ?? null, error: { code, message: words } }));
  const { id, method, params = {} } = body;
  if (method === 'initialize') {
    const session = { id: randomUUID(), capabilities: params.capabilities ?? {}, asked: 0, open: new Map(), streams: new Map(), watched: new Set() };
    sessions.set(session.id, session);
    const protocolVersion = LEGACY.includes(params.protocolVersion) ? params.protocolVersion : LEGACY[0];
    return reply(response, 200, message({ id, result: { protocolVersion, capabilities, serverInfo: INFO } }), { 'mcp-session-id': session.id });
  }
  const session = sessions.get(request.headers['mcp-session-id']);
  if (!request.headers['mcp-session-id']) return fail(400, -32000, 'a session is needed: initialize');
  if (!session) return fail(404, -32001, 'no such session');
  if (method === undefined) {
    const open = session.open.get(id);
    session.open.delete(id);
    if (body.error) open?.failed(new Error(body.error.message));
    else open?.done(body.result);
    return reply(response, 202, null);
  }
  if (id === undefined) return reply(response, 202, null);
  const simple = {
    ping: () => {},
    'logging/setLevel': () => {},
    'resources/subscribe': () => session.watched.add(params.uri),
    'resources/unsubscribe': () => session.watched.delete(params.uri),
  };
  if (Object.hasOwn(simple, method)) {
    simple[method]();
    return reply(response, 200, message({ id, result: {} }));
  }
  const stream = method === 'tools/call' || method === 'prompts/get' ? new Stream(session, response) : null;
  const done = (outcome) => {
    if (!stream) return reply(response, 200, message({ id, ...outcome }));
    stream.send({ id, ...outcome });
    stream.end();
  };
  try {
    done({ result: await answer(method, params, legacyContext(session, params, stream)) });
  } catch (error) {
    done({ error: error instanceof Failure ? error.body : { code: -32603, message: String(error) } });
  }
}

function legacyOther(request, response) {
  const session = sessions.get(request.headers['mcp-session-id']);
  if (!session) return reply(response, request.headers['mcp-session-id'] ? 404 : 400, null);
  if (request.method === 'DELETE') {
    sessions.delete(session.id);
    for (const stream of session.streams.values()) stream.end();
    return reply(response, 200, null);
  }
  if (request.method !== 'GET') return reply(response, 405, null);
  const last = request.headers['last-event-id'];
  if (last !== undefined) {
    const stream = session.streams.get(last.split('_')[0]);
    return stream ? stream.resume(response, Number(last.split('_')[1])) : reply(response, 404, null);
  }
  const stream = new Stream(session, response);
  const listener = { send: (method, params) => stream.send({ method, params }), wants: (_, { uri }) => !uri || session.watched.has(uri) };
  listeners.add(listener);
  response.on('close', () => listeners.delete(listener));
}

// ---- either ----

const local = (host) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? '');

http.createServer(async (request, response) => {
  const { host, origin } = request.headers;
  if (!local(host) || (origin !== undefined && !local(origin.replace(/^https?:\/\//, '')))) return reply(response, 403, null);
  if (new URL(request.url, 'http://localhost').pathname !== '/mcp') return reply(response, 404, null);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let body = {};
  if (request.method === 'POST') {
    try {
      body = JSON.parse(Buffer.concat(chunks));
      if (body === null || typeof body !== 'object' || Array.isArray(body)) throw new Error('a message is an object');
    } catch (error) {
      return reply(response, 400, message({ id: null, error: { code: -32700, message: String(error) } }));
    }
  }
  const said = request.headers['mcp-protocol-version'];
  const isModern = request.method === 'POST' && (
    body.params?._meta?.[`${META}protocolVersion`] !== undefined || body.method === 'server/discover' || (said !== undefined && !LEGACY.includes(said)));
  if (era === 'modern' || (era === 'both' && isModern)) {
    return request.method === 'POST' ? modern(request, response, body) : reply(response, 405, null);
  }
  return legacy(request, response, body);
}).listen(port, '127.0.0.1', function listening() {
  console.log(`http://127.0.0.1:${this.address().port}/mcp`);
});
