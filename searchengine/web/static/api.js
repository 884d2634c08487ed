/** The server's API. Every failure is a Problem with one line for people. */

import { capital } from './dom.js';

const LONGEST_WAIT = 10;
const PAGE = 60;
const MOST_A_PAGE = 200;

/** What went wrong; `detail` is meant to be shown. */
export class Problem extends Error {
  /** @param {number} status @param {string} detail @param {number|null} [retryAfter] seconds */
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

export class Api {
  /** @type {string|null} the index asked; null is the server's first one */
  index = null;

  /** @param {() => void} loginNeeded called for every answer 401 */
  constructor(loginNeeded) {
    this.loginNeeded = loginNeeded;
  }

  /** @returns {Promise<{authenticated: boolean, needs_token: boolean}>} */
  session = () => this.#ask('GET', '/api/session');

  /** @param {string} token */
  login = (token) => this.#ask('POST', '/api/login', { json: { token } });

  /** @returns {Promise<{indexes: {name: string, images: number, default: boolean}[]}>} */
  indexes = () => this.#ask('GET', '/api/indexes');

  /** The index's health. @param {AbortSignal} [signal] */
  health = async (signal) =>
    this.#ask('GET', `/api/indexes/${encodeURIComponent(await this.#name())}`, { signal });

  /** @param {number} offset @param {number} limit */
  failures = async (offset, limit) => {
    const name = encodeURIComponent(await this.#name());
    return this.#ask('GET', `/api/indexes/${name}/failures?offset=${offset}&limit=${limit}`);
  };

  /**
   * The first page of a search, and as many more as hold `least` hits.
   *
   * @param {object} request @param {number} least @param {AbortSignal} signal
   */
  results = async (request, least, signal) => {
    const limit = Math.max(PAGE, Math.min(least, MOST_A_PAGE));
    const result = { ...(await this.#search({ ...request, limit }, signal)), request };
    while (result.hits.length < least && result.next) await this.moreResults(result, signal);
    return result;
  };

  /** Put the next page into a result. @returns {Promise<object[]>} the hits that came */
  moreResults = async (result, signal) => {
    const page = { ...result.request, limit: PAGE, cursor: result.next };
    const { hits, next } = await this.#search(page, signal);
    result.hits = [...result.hits, ...hits];
    result.next = next;
    return hits;
  };

  #search = (body, signal) => this.#ask('POST', '/api/search', { json: body, signal });

  /** @param {object} filters */
  facets = (filters) =>
    this.#ask('POST', '/api/facets', { json: { index: this.index, filters } });

  /** Keep a picture as an example. @param {Blob} picture @returns {Promise<{key: string}>} */
  upload = (picture) => this.#ask('POST', '/api/uploads', { bytes: picture });

  /** @param {number} id */
  image = (id) => this.#ask('GET', this.#image(id, ''));

  /** @param {boolean} retryFailed */
  startJob = (retryFailed) =>
    this.#ask('POST', '/api/jobs', { json: { index: this.index, retry_failed: retryFailed } });

  /** @param {string} id */
  cancelJob = (id) => this.#ask('DELETE', `/api/jobs/${id}`);

  /** @param {string} id */
  jobEvents = (id) => new EventSource(`/api/jobs/${id}/events`);

  /** @param {number} id @param {'small'|'large'} size */
  thumbnail = (id, size) => this.#image(id, '/thumbnail', { size });

  /** @param {number} id */
  original = (id) => this.#image(id, '/original');

  /** @param {string} key */
  uploaded = (key) => `/api/uploads/${encodeURIComponent(key)}`;

  #image(id, what, query = {}) {
    const pairs = new URLSearchParams(query);
    if (this.index) pairs.set('index', this.index);
    return `/api/images/${id}${what}${pairs.size ? `?${pairs}` : ''}`;
  }

  async #name() {
    if (this.index) return this.index;
    this.first ??= (await this.indexes()).indexes.find((one) => one.default)?.name;
    return this.first;
  }

  /** One request, and once more where the server says that it is only busy. */
  async #ask(method, path, given = {}) {
    try {
      return await this.#send(method, path, given);
    } catch (error) {
      if (error.status !== 503 || error.retryAfter === null) throw error;
      await pause(Math.min(error.retryAfter, LONGEST_WAIT), given.signal);
      return this.#send(method, path, given);
    }
  }

  async #send(method, path, { json, bytes, signal }) {
    const headers = { Accept: 'application/json' };
    if (json) headers['Content-Type'] = 'application/json';
    if (bytes) headers['Content-Type'] = bytes.type || 'application/octet-stream';
    const body = json ? JSON.stringify(json) : bytes;
    let answer;
    try {
      answer = await fetch(path, { method, headers, body, signal });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem(0, 'The server does not answer. Is it still running?');
    }
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const problem = await problemOf(answer);
    if (answer.status === 401 && path !== '/api/login') this.loginNeeded();
    throw problem;
  }
}

async function problemOf(answer) {
  const told = await answer.json().catch(() => ({}));
  const detail = typeof told.detail === 'string' ? told.detail : told.title;
  const wait = Number.parseFloat(answer.headers.get('Retry-After') ?? '');
  const plain = detail || `The server answered ${answer.status} ${answer.statusText}`.trim();
  return new Problem(answer.status, capital(plain), Number.isFinite(wait) ? wait : null);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new DOMException('a newer search came', 'AbortError'));
    });
  });
}
