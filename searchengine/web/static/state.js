/** What is asked and shown: one plain object, the whole of it in the address. */

/**
 * @typedef {{weight: number} & ({text: string} | {id: number} | {upload: string})} Part
 * @typedef {{after?: string, before?: string, camera?: string, lens?: string, folder?: string,
 *   near?: {latitude: number, longitude: number, km: number}, types?: string[],
 *   min_bytes?: number, min_width?: number, orientation?: string, captioned?: boolean}} Filters
 * @typedef {{index: string|null, text: string, plus: Part[], minus: Part[], more: number[],
 *   less: number[], filters: Filters, sort: string, group: string|null,
 *   minRelevance: string|null, semanticOnly: boolean, collapse: boolean, diverse: boolean,
 *   view: number|null}} State
 */

/** @type {Readonly<State>} Nothing asked: the library, newest first. */
export const NOTHING = Object.freeze({
  index: null, text: '', plus: [], minus: [], more: [], less: [], filters: {},
  sort: 'relevance', group: null, minRelevance: null,
  semanticOnly: false, collapse: true, diverse: false, view: null,
});

const POSITIONS = 'searchengine.positions';
const POSITIONS_KEPT = 50;
const PART = /^(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?):)?(id|text|upload):(.*)$/s;
const TEXTS = ['after', 'before', 'camera', 'lens', 'folder'];
const NUMBERS = ['min_bytes', 'min_width'];
const ORIENTATIONS = ['landscape', 'portrait', 'square'];

/**
 * The address's query of a state, `` where it is NOTHING; `fromAddress` is its inverse.
 *
 * @param {State} state
 */
export function toAddress(state) {
  const pairs = [];
  const add = (name, value) => {
    if (value !== null && value !== undefined && value !== '') pairs.push(pair(name, value));
  };
  add('index', state.index);
  add('q', state.text);
  for (const part of state.plus) add('plus', written(part));
  for (const part of state.minus) add('minus', written(part));
  add('more', state.more.join(','));
  add('less', state.less.join(','));
  addFilters(add, state.filters);
  add('sort', state.sort === 'relevance' ? null : state.sort);
  add('group', state.group);
  add('min', state.minRelevance);
  add('words', state.semanticOnly ? 'no' : null);
  add('copies', state.collapse ? null : 'all');
  add('diverse', state.diverse ? 'yes' : null);
  add('view', state.view);
  return pairs.length ? `?${pairs.join('&')}` : '';
}

function addFilters(add, filters) {
  for (const name of [...TEXTS, ...NUMBERS, 'orientation']) add(name, filters[name]);
  if (filters.near) {
    add('near', [filters.near.latitude, filters.near.longitude, filters.near.km].join(','));
  }
  for (const type of filters.types ?? []) add('type', type);
  if (filters.captioned !== undefined) add('captioned', filters.captioned ? 'yes' : 'no');
}

/** Escaped as little as the query of an address allows, so that a person can read it. */
function pair(name, value) {
  const escaped = encodeURIComponent(String(value).toWellFormed());
  const plain = { '%20': '+', '%3A': ':', '%2C': ',', '%2F': '/' };
  return `${name}=${escaped.replace(/%(?:20|3A|2C|2F)/g, (code) => plain[code])}`;
}

function written(part) {
  const weight = part.weight === 1 ? '' : `${part.weight}:`;
  if (part.text !== undefined) return `${weight}text:${part.text}`;
  return part.id === undefined ? `${weight}upload:${part.upload}` : `${weight}id:${part.id}`;
}

/**
 * The state of an address's query; what makes no sense in it is left out.
 *
 * @param {string} query
 * @returns {State}
 */
export function fromAddress(query) {
  const given = new URLSearchParams(query);
  const among = (name, values) => (values.includes(given.get(name)) ? given.get(name) : null);
  return {
    ...NOTHING,
    index: given.get('index') || null,
    text: given.get('q') ?? '',
    plus: given.getAll('plus').map(read).filter(Boolean),
    minus: given.getAll('minus').map(read).filter(Boolean),
    more: ids(given.get('more')),
    less: ids(given.get('less')),
    filters: filtersOf(given, among),
    sort: among('sort', ['date']) ?? 'relevance',
    group: among('group', ['day', 'folder']),
    minRelevance: among('min', ['strong', 'likely']),
    semanticOnly: given.get('words') === 'no',
    collapse: given.get('copies') !== 'all',
    diverse: given.get('diverse') === 'yes',
    view: whole(given.get('view')),
  };
}

function filtersOf(given, among) {
  /** @type {Filters} */
  const filters = {};
  for (const name of TEXTS) if (given.get(name)) filters[name] = given.get(name);
  for (const name of NUMBERS) if (whole(given.get(name))) filters[name] = whole(given.get(name));
  const near = (given.get('near') ?? '').split(',').map((text) => (text ? Number(text) : NaN));
  if (near.length === 3 && near.every(Number.isFinite)) {
    filters.near = { latitude: near[0], longitude: near[1], km: near[2] };
  }
  const types = given.getAll('type').filter(Boolean);
  if (types.length) filters.types = types;
  const orientation = among('orientation', ORIENTATIONS);
  if (orientation) filters.orientation = orientation;
  const captioned = among('captioned', ['yes', 'no']);
  if (captioned) filters.captioned = captioned === 'yes';
  return filters;
}

function read(text) {
  const [, weight, kind, value] = PART.exec(text) ?? [];
  const factor = weight === undefined ? 1 : Number(weight);
  if (!value || !(factor > 0 && Number.isFinite(factor))) return null;
  if (kind !== 'id') return { [kind]: value, weight: factor };
  return whole(value) === null ? null : { id: whole(value), weight: factor };
}

const whole = (text) =>
  /^\d+$/.test(text ?? '') && Number.isSafeInteger(Number(text)) ? Number(text) : null;
const ids = (text) => [
  ...new Set((text ?? '').split(',').map(whole).filter((id) => id !== null)),
];

/** The body of POST /api/search, without what pages it. @param {State} state */
export const toRequest = (state) => ({
  index: state.index, text: state.text, plus: state.plus, minus: state.minus,
  more: state.more, less: state.less, filters: state.filters,
  min_relevance: state.minRelevance, semantic_only: state.semanticOnly,
  collapse: state.collapse, diverse: state.diverse, sort: state.sort, group: state.group,
});

/** Whether nothing is looked for, only browsed. @param {State} state */
export const browses = (state) =>
  !state.text.trim() &&
  !(state.plus.length + state.minus.length + state.more.length + state.less.length);

/** Whether any filter is set. @param {State} state */
export const isFiltered = (state) => Object.keys(state.filters).length > 0;

/** What decides the hits: the state without the opened picture. @param {State} state */
export const searchOf = (state) => toAddress({ ...state, view: null });

/** The same question to another index, where numbers of images mean nothing. */
export function elsewhere({ text, plus, minus }, index) {
  const portable = (part) => part.id === undefined;
  return { ...NOTHING, index, text, plus: plus.filter(portable), minus: minus.filter(portable) };
}

/**
 * An image marked as an example: at the end of `more` or `less`, and only there.
 *
 * @param {State} state @param {'more'|'less'} kind @param {number} id
 */
export function marked(state, kind, id) {
  const without = (ids) => ids.filter((one) => one !== id);
  const other = kind === 'more' ? 'less' : 'more';
  return { [kind]: [...without(state[kind]), id], [other]: without(state[other]) };
}

/** Filters without some of them. @param {Filters} filters @param {string[]} keys */
export const withoutFilters = (filters, keys) =>
  Object.fromEntries(Object.entries(filters).filter(([key]) => !keys.includes(key)));

/**
 * The state and its place in the history. An entry is {key, undo, opened}: `undo` marks those that
 * feedback made, `opened` those that opened a picture from the grid. Under its key is kept where
 * the window stood when the entry was left.
 */
export class Store {
  /** @type {() => unknown} where the window stands */
  position = () => undefined;

  /** @param {(state: State, how: 'push'|'replace'|'pop') => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.positions = new Map(Object.entries(JSON.parse(sessionStorage.getItem(POSITIONS) ?? '{}')));
    history.scrollRestoration = 'manual'; // the page's height is only known after a search
    this.#read();
    addEventListener('popstate', () => {
      this.#leave();
      this.#read();
      this.changed(this.state, 'pop');
    });
    addEventListener('pagehide', () => {
      this.#leave();
      const latest = [...this.positions].slice(-POSITIONS_KEPT);
      sessionStorage.setItem(POSITIONS, JSON.stringify(Object.fromEntries(latest)));
    });
  }

  /** Where the window stood in this entry when it was left. */
  get kept() {
    return this.positions.get(this.entry.key);
  }

  #read() {
    this.state = fromAddress(location.search);
    this.entry = history.state?.key ? history.state : { key: newKey() };
    history.replaceState(this.entry, '');
  }

  #leave() {
    const position = this.position();
    this.positions.delete(this.entry.key);
    if (position) this.positions.set(this.entry.key, position);
  }

  /** Go to a new state; the one before is a step back. */
  push(change, { undo = false, opened = false } = {}) {
    this.#leave();
    this.state = { ...this.state, ...change };
    this.entry = { key: newKey(), undo, opened };
    history.pushState(this.entry, '', this.#href());
    this.changed(this.state, 'push');
  }

  /** Change the state in place, as while a slider moves. */
  replace(change, { undo = this.entry.undo, opened = false } = {}) {
    this.state = { ...this.state, ...change };
    this.entry = { key: this.entry.key, undo, opened };
    history.replaceState(this.entry, '', this.#href());
    this.changed(this.state, 'replace');
  }

  /** A new search. One made from an opened picture takes the picture's place in the history. */
  ask(change, { undo = false } = {}) {
    const here = this.entry.opened;
    this[here ? 'replace' : 'push']({ ...change, view: null }, { undo });
  }

  #href() {
    return location.pathname + toAddress(this.state);
  }
}

const newKey = () => Math.random().toString(36).slice(2);
