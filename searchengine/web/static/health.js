/** The panel about the index: what it holds, what failed, refreshing it; and whether it changed. */

import { amount, byId, counted, h } from './dom.js';

const LOOK_EVERY = 5000;
const FAILURES_A_PAGE = 50;
const KINDS = {
  added: 'added', changed: 'changed', moved: 'moved', removed: 'removed', failed: 'failed',
};

export class Health {
  /**
   * @param {import('./api.js').Api} api
   * @param {(health: object) => void} seen called with each answer about the index
   */
  constructor(api, seen) {
    this.api = api;
    this.seen = seen;
    this.dialog = /** @type {HTMLDialogElement} */ (byId('health'));
    this.offset = 0;
    byId('health-button').addEventListener('click', () => this.open());
    byId('refresh').addEventListener('click', () => this.#start(false));
    byId('retry-failed').addEventListener('click', () => this.#start(true));
    byId('cancel-job').addEventListener('click', () => this.#cancel());
    byId('failures-before').addEventListener('click', () => this.#turnPage(-1));
    byId('failures-after').addEventListener('click', () => this.#turnPage(1));
  }

  /** Look at the index now, and every few seconds while the page is seen. */
  watch() {
    clearInterval(this.timer);
    this.timer = setInterval(() => document.hidden || this.look(), LOOK_EVERY);
    return this.look();
  }

  /** Ask once how the index is; a server that is away says nothing here, a search will. */
  async look() {
    const asked = this.api.index;
    const health = await this.api.health().catch(() => null);
    if (!health || asked !== this.api.index) return;
    this.health = health;
    this.seen(health);
    if (health.job?.state === 'running') this.#follow(health.job);
    if (this.dialog.open) this.#draw(health);
  }

  async open() {
    this.offset = 0;
    this.#tell('');
    this.dialog.showModal();
    await Promise.all([this.look(), this.#failures()]);
  }

  #draw(health) {
    const { images, failed, coverage, roots } = health;
    const facts = [
      ['Pictures', amount(images)],
      ['Coverage', `${percent(coverage)} of the picture files found`],
      ['Model', `${health.model}, ${amount(health.dim)} dimensions`],
      ['Kind of index', health.kind],
      ['Kept in', health.folder],
    ];
    byId('facts').replaceChildren(
      ...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
    );
    byId('roots').replaceChildren(...roots.map(rootItem));
    byId('no-roots').hidden = roots.length > 0;
    byId('retry-failed').hidden = !failed;
    if (failed !== this.failed) this.#failures();
    this.failed = failed;
  }

  async #failures() {
    try {
      const { total, failures } = await this.api.failures(this.offset, FAILURES_A_PAGE);
      const last = Math.min(this.offset + failures.length, total);
      byId('failures-count').textContent = total
        ? `${counted(total, 'file')} could not be read` : 'Every picture file could be read';
      byId('failures').replaceChildren(...failures.map(({ path, reason }) =>
        h('li', {}, h('code', {}, path), h('span', {}, reason))));
      byId('failures-pages').hidden = total <= FAILURES_A_PAGE;
      byId('failures-page').textContent =
        `${amount(this.offset + 1)} to ${amount(last)} of ${amount(total)}`;
      byId('failures-before').disabled = this.offset === 0;
      byId('failures-after').disabled = last >= total;
    } catch (error) {
      this.#tell(error.detail ?? String(error));
    }
  }

  #turnPage(step) {
    this.offset = Math.max(0, this.offset + step * FAILURES_A_PAGE);
    return this.#failures();
  }

  async #start(retryFailed) {
    this.#tell('');
    try {
      this.#follow(await this.api.startJob(retryFailed));
    } catch (error) {
      this.#tell(error.detail ?? String(error));
      await this.look();
    }
  }

  /** Show a job's progress as it comes, until it ends. */
  #follow(job) {
    if (this.job?.id === job.id) return;
    this.events?.close();
    this.#progress(job);
    this.events = this.api.jobEvents(job.id);
    this.events.addEventListener('progress', ({ data }) => this.#progress(JSON.parse(data)));
    this.events.addEventListener('end', ({ data }) => this.#ended(data));
    // A stream that breaks off for good: what became of the job is in the index's health.
    this.events.addEventListener('error', () => {
      if (this.events?.readyState === EventSource.CLOSED) this.#ended(null);
    });
  }

  #progress(job) {
    this.job = job;
    const running = job.state === 'running';
    byId('job').hidden = !running;
    byId('refresh').disabled = running;
    byId('retry-failed').disabled = running;
    const bar = byId('job-bar');
    bar.max = job.total || 1;
    if (job.total) bar.value = job.done;
    else bar.removeAttribute('value'); // not known yet: the bar only shows that something goes on
    byId('job-says').textContent = job.total
      ? `${amount(job.done)} of ${counted(job.total, 'picture')}` : 'Looking through the folders';
  }

  #ended(data) {
    this.events?.close();
    this.events = null;
    const job = jobOf(data) ?? this.job;
    this.#progress({ ...job, state: job.state === 'running' ? 'done' : job.state });
    this.#tell(outcome(job));
    this.job = null;
    this.failed = undefined;
    this.look();
  }

  async #cancel() {
    byId('cancel-job').disabled = true;
    await this.api.cancelJob(this.job.id).catch((error) => this.#tell(error.detail));
    byId('cancel-job').disabled = false;
  }

  #tell(text) {
    byId('job-outcome').textContent = text;
  }
}

function rootItem({ path, images, reachable }) {
  const away = reachable === false;
  const state = away ? 'not reachable: its pictures stay in the index' : '';
  return h('li', { class: away ? 'away' : '' },
    h('code', {}, path), h('span', {}, counted(images, 'picture')),
    state ? h('strong', {}, state) : null);
}

function jobOf(data) {
  try {
    const job = JSON.parse(data);
    return job?.state ? job : null;
  } catch {
    return null;
  }
}

/** One line: what a job did, or why it did not. */
export function outcome(job) {
  if (job.state === 'failed') return job.error ?? 'It failed.';
  const { report } = job;
  const parts = Object.keys(KINDS)
    .filter((kind) => report?.[kind])
    .map((kind) => `${amount(report[kind])} ${KINDS[kind]}`);
  const left = job.error ? ` ${job.error}.` : '';
  const did = (parts.length ? `${parts.join(', ')}.` : 'Nothing had changed.') + left;
  return job.state === 'cancelled' ? `Stopped; what was read stays. ${parts.join(', ')}` : did;
}

// Never 100 % while a file is missing.
const percent = (part) => (part < 1 ? `${(Math.floor(part * 1000) / 10).toFixed(1)} %` : '100 %');
