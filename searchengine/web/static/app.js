/** The page: joins the state, the server and the parts, and runs the searches. */

import { Api } from './api.js';
import { Box } from './box.js';
import {
  amount, byId, h, hush, popsUp, say, settled, showCopies, showEmpty, statusOf,
} from './dom.js';
import { FilterBar } from './filters.js';
import { Grid } from './grid.js';
import { Health } from './health.js';
import { listen, themes } from './keyboard.js';
import { NOTHING, Store, browses, elsewhere, marked, searchOf, toRequest } from './state.js';
import { Tray } from './tray.js';
import { Viewer } from './viewer.js';

const KEPT_RESULTS = 8;
const PATIENCE = 150; // ms before the page shows that it waits
const CHOICE = [({ value }) => value || null, (select, value) => { select.value = value ?? ''; }];
const TICK = [(box) => box.checked, (box, on) => { box.checked = on; }];
/** Controls: their id, their place in the state, how they are read and set. */
const OPTIONS = [
  ['sort', 'sort', ...CHOICE], ['group', 'group', ...CHOICE],
  ['min-relevance', 'minRelevance', ...CHOICE],
  ['diverse', 'diverse', ...TICK], ['semantic-only', 'semanticOnly', ...TICK],
  ['separate-copies', 'collapse', (box) => !box.checked, (box, on) => { box.checked = !on; }],
];

class Page {
  constructor() {
    this.api = new Api(() => this.login());
    this.results = new Map(); // searches of late, for going back at once
    this.store = new Store((state, how) => this.changed(state, how));
    this.store.position = () => this.position();
    this.api.index = this.store.state.index;
    this.soon = settled(() => this.search(), 250);
    this.makeParts();
    this.makeControls();
  }

  makeParts() {
    const { api } = this;
    this.tray = new Tray(api, (change, how) =>
      (how === 'push' ? this.ask(change) : this.store.replace(change)));
    this.filters = new FilterBar(api, (filters) => this.ask({ filters }));
    this.health = new Health(api, (health) => this.healthSeen(health));
    this.box = new Box(api, {
      ask: () => this.askNow(),
      example: (part) => this.example(part),
      words: (text, sign) => this.ask({ [sign]: [...this.store.state[sign], { text, weight: 1 }] }),
    });
    this.grid = new Grid(byId('grid'), {
      thumbnail: api.thumbnail,
      original: api.original,
      onOpen: (hit) => this.store.push({ view: hit.id }, { opened: true }),
      onMore: (hit) => this.mark('more', hit.id),
      onLess: (hit) => this.mark('less', hit.id),
      onNearEnd: () => this.more(),
      onCopies: (hit) => showCopies(hit, api),
    });
    this.viewer = new Viewer(byId('viewer'), {
      load: api.image,
      thumbnail: api.thumbnail,
      original: api.original,
      hitAt: (at) => this.grid.hits[at],
      indexOf: (id) => this.grid.hits.findIndex((hit) => hit.id === id),
      count: () => this.result?.found ?? this.result?.total,
      onClose: (id) => this.closed(id),
      onShow: (id) => this.showed(id),
      onMore: (id) => this.mark('more', id),
      onLess: (id) => this.mark('less', id),
      onFilter: (some) => this.ask({ filters: { ...this.store.state.filters, ...some } }),
    });
  }

  /** Add a picture, once: the slider is there to make it count more. */
  example(part) {
    const { plus } = this.store.state;
    const there = (one) => one.upload === part.upload && one.id === part.id;
    if (!plus.some(there)) this.ask({ plus: [...plus, part] });
  }

  makeControls() {
    const { store } = this;
    for (const [id, key, read] of OPTIONS) {
      byId(id).addEventListener('change', ({ target }) => this.ask({ [key]: read(target) }));
    }
    popsUp(byId('options-button'), byId('options'));
    popsUp(byId('add-words'), byId('words'), () => byId('more-words').focus());
    byId('skip').addEventListener('click', () => this.grid.focusFirst());
    byId('undo').addEventListener('click', () => history.back());
    byId('show-changed').addEventListener('click', () => this.search());
    byId('home').addEventListener('click', (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.box.text = '';
      store.push({ ...NOTHING, index: store.state.index });
    });
    byId('index-switcher').addEventListener('change', ({ target }) => this.turnTo(target.value));
    listen({ focusBox: () => this.box.focus(), undo: () => store.entry.undo && history.back() });
  }

  async start() {
    byId('page').hidden = false;
    const { indexes } = await this.api.indexes();
    const switcher = byId('index-switcher');
    this.api.first = indexes.find((one) => one.default)?.name;
    switcher.hidden = indexes.length < 2;
    switcher.replaceChildren(...indexes.map(({ name }) => h('option', { value: name }, name)));
    this.box.text = this.store.state.text;
    this.changed(this.store.state, 'pop');
    await this.health.watch();
  }

  turnTo(name) {
    this.store.push(elsewhere(this.store.state, name === this.api.first ? null : name));
    this.health.look();
  }

  /** A search with what is typed by now; it runs once the controls have been quiet for a while. */
  ask(change, more) {
    this.store.ask({ text: this.box.text, ...change }, more);
  }

  askNow() {
    if (this.box.text !== this.store.state.text) this.ask({});
    return this.search();
  }

  /** Take an image as an example of what is looked for, or of what is not. */
  mark(kind, id) {
    const { state } = this.store;
    const text = this.box.text || state.text;
    if (browses({ ...state, text })) {
      if (kind === 'more') this.ask({ plus: [{ id, weight: 1 }] }, { undo: true });
      else say('Look for something first; then say what should be less like this.');
    } else this.ask(marked(state, kind, id), { undo: true });
  }

  changed(state, how) {
    if (this.api.index !== state.index) this.results.clear();
    this.api.index = state.index;
    if (how === 'pop') this.box.text = state.text;
    this.tray.render(state);
    this.filters.render(state);
    for (const [id, key, , write] of OPTIONS) write(byId(id), state[key]);
    byId('options-button').classList.toggle('set', // told apart, as its menu hides what is set
      Boolean(state.minRelevance) || state.diverse || state.semanticOnly || !state.collapse);
    byId('sort').disabled = browses(state);
    byId('index-switcher').value = state.index ?? this.api.first ?? '';
    byId('undo').hidden = !this.store.entry.undo;
    document.title = state.text ? `${state.text} – searchengine` : 'searchengine';
    if (searchOf(state) !== this.asked) {
      if (how === 'pop') this.search(true);
      else this.soon();
    }
    if (state.view !== null) this.viewer.show(state.view);
    else if (this.viewer.isOpen) this.viewer.hide();
  }

  showed(id) {
    const { state, entry } = this.store;
    if (state.view !== id) this.store.replace({ view: id }, { opened: entry.opened });
  }

  closed(id) {
    this.grid.focusOn(id);
    if (this.store.state.view === null) return;
    if (this.store.entry.opened) history.back();
    else this.store.replace({ view: null });
  }

  /** Run the state's search; `back` is true where it was shown before and should look like then. */
  async search(back = false) {
    const { state } = this.store;
    this.soon.cancel();
    this.asked = searchOf(state);
    this.abort?.abort();
    const mine = this.abort = new AbortController();
    byId('grid').ariaBusy = 'true'; // at once, for those who cannot see that the page waits
    hush();
    const waits = setTimeout(() => this.waiting(true), PATIENCE);
    try {
      const position = back ? this.store.kept : undefined;
      const kept = back && this.results.get(this.asked);
      const result = kept && kept.version === this.version
        ? kept : await this.api.results(toRequest(state), position?.loaded ?? 0, mine.signal);
      if (!mine.signal.aborted) this.show(state, result, position);
    } catch (error) {
      if (!mine.signal.aborted) this.notFound(error);
    } finally {
      clearTimeout(waits);
      if (this.abort === mine) this.waiting(false);
    }
  }

  show(state, result, position) {
    this.waiting(false); // first: what it shows takes room, and positions are restored below
    this.result = result;
    this.version ??= result.version;
    this.results.delete(this.asked);
    this.results.set(this.asked, result);
    if (this.results.size > KEPT_RESULTS) this.results.delete(this.results.keys().next().value);
    byId('changed').hidden = true;
    const inGrid = byId('grid').contains(document.activeElement);
    this.grid.clear();
    scrollTo({ top: 0, behavior: 'instant' });
    this.append(result.hits);
    if (position?.grid && position.top > 0) this.grid.restore(position.grid);
    else if (inGrid) this.grid.focusFirst(); // the keys go on where they were
    byId('status').textContent = statusOf(state, result);
    showEmpty(state, result, (change) => this.ask(change));
  }

  async more() {
    const { result } = this;
    if (!result?.next) return;
    try {
      const hits = await this.api.moreResults(result, this.abort.signal);
      if (this.result === result) this.append(hits);
    } catch (error) {
      if (error.name !== 'AbortError' && this.result === result) {
        this.failed(error, () => this.more());
      }
    }
  }

  /** Hits into the grid. How far the list goes is not read aloud: it would be at every scroll. */
  append(more) {
    const { hits, found, total, next } = this.result;
    this.grid.append(more);
    this.grid.setDone(!next);
    if (this.viewer.isOpen) this.viewer.tellPlace(); // it may have been opened before its hits came
    const all = found ?? total;
    byId('shown').textContent =
      hits.length && hits.length < all ? `${amount(hits.length)} of ${amount(all)}` : '';
  }

  waiting(on) {
    byId('grid').ariaBusy = String(on);
    document.body.classList.toggle('waiting', on);
    byId('skeleton').hidden = !on || this.grid.hits.length > 0;
  }

  /** No pictures rather than those of another search. */
  notFound(error) {
    this.result = null;
    this.grid.clear();
    for (const id of ['status', 'shown']) byId(id).textContent = '';
    byId('empty').hidden = true;
    this.failed(error, () => this.search());
  }

  failed(error, again) {
    if (error.status === 401) return; // the login form is there
    const text = error.detail ?? `The page met an error: ${error.message}`;
    say(text, { label: 'Try again', run: again });
  }

  healthSeen({ version }) {
    this.version = version;
    if (!this.result || this.result.version === version) return;
    if (this.result.hits.length) byId('changed').hidden = false;
    else this.search(); // an empty page cannot jump under anyone's hands
  }

  position() {
    return this.result && {
      grid: this.grid.scrollState(), top: scrollY, loaded: this.result.hits.length,
    };
  }

  login() {
    this.abort?.abort();
    byId('page').hidden = true;
    byId('login').hidden = false;
    byId('token').focus();
  }
}

themes();
const page = new Page();
byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const token = /** @type {HTMLInputElement} */ (byId('token'));
  try {
    await page.api.login(token.value);
    byId('login').hidden = true;
    byId('login-says').textContent = '';
    token.value = '';
    page.asked = undefined;
    await page.start();
  } catch (error) {
    byId('login-says').textContent = error.detail ?? String(error);
    token.select();
  }
});
const { needs_token: needed, authenticated } = await page.api.session();
if (needed && !authenticated) page.login();
else await page.start();
