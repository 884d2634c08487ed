/** Filters: the chips of those that are set, and the menu that sets them, with counts. */

import {
  amount, byId, capital, counted, datesName, h, iconButton, lastName, monthName, monthsOf,
  nextMonth, placeName, popsUp, say, year,
} from './dom.js';
import { withoutFilters } from './state.js';

const CIRCLE_KM = 20;
const FEW = 8;
const MONTHS_AT_ONCE = 36;
const YEARS_IN_A_ROW = 80;
const WIDTHS = [1000, 2000, 4000];
/** What each count is of: it leaves its own filters out, so that one can be changed for another. */
const OWN = {
  months: ['after', 'before'], cameras: ['camera'], folders: ['folder'], types: ['types'],
  places: ['near'],
};

export class FilterBar {
  /**
   * @param {import('./api.js').Api} api
   * @param {(filters: import('./state.js').Filters) => void} change
   */
  constructor(api, change) {
    this.api = api;
    this.change = change;
    this.menu = byId('filter-menu');
    this.turn = 0; // of the counts asked for last; earlier ones are not drawn
    popsUp(byId('add-filter'), this.menu, () => this.#load());
  }

  /** @param {import('./state.js').State} state */
  render(state) {
    this.filters = state.filters;
    const chips = chipsOf(state.filters).map(({ label, keys }) =>
      h('li', { class: 'chip' }, h('span', {}, label),
        iconButton('close', `Remove the filter ${label}`, () => {
          this.change(withoutFilters(this.filters, keys));
          byId('add-filter').focus();
        })));
    byId('chips').replaceChildren(...chips);
    if (this.menu.matches(':popover-open')) this.#load();
  }

  #set(change) {
    const unset = ([, value]) => value === undefined || value.length === 0;
    const all = Object.entries({ ...this.filters, ...change });
    this.change(Object.fromEntries(all.filter((one) => !unset(one))));
  }

  async #load() {
    const mine = ++this.turn;
    const asked = new Map(); // facets that leave out the same are asked for once
    const facet = (name) => {
      const filters = withoutFilters(this.filters, OWN[name]);
      const key = JSON.stringify(filters);
      if (!asked.has(key)) asked.set(key, this.api.facets(filters));
      return asked.get(key).then((answer) => answer[name]);
    };
    try {
      const names = Object.keys(OWN);
      const values = await Promise.all(names.map(facet));
      if (mine !== this.turn) return;
      this.#draw(Object.fromEntries(names.map((name, at) => [name, values[at]])));
    } catch (error) {
      if (error.status !== 401) say(error.detail ?? String(error));
    }
  }

  #draw(facets) {
    const focus = document.activeElement?.dataset.choice;
    const top = this.menu.scrollTop;
    const sections = [
      facets.months.length ? this.#when(facets.months) : null,
      this.#list('Camera', 'camera', facets.cameras),
      this.#list('Folder', 'folder', facets.folders),
      this.#types(facets.types),
      this.#places(facets.places),
      this.#fixed(),
    ];
    byId('filter-sections').replaceChildren(...sections.filter(Boolean));
    this.menu.scrollTop = top;
    if (focus) this.menu.querySelector(`[data-choice="${CSS.escape(focus)}"]`)?.focus();
  }

  #when(months) {
    const { after, before } = this.filters;
    const span = spanOf(months);
    const many = span.length > MONTHS_AT_ONCE;
    const only = many ? onlyYear(after, before) : null;
    const bars = many && !only ? yearBars(months) : monthBars(months, only ? monthsOf(only) : span);
    const chosen = (bar) => (after || before) &&
      bar.after >= (after ?? '') && startOf(bar.before) <= startOf(before ?? '9999');
    const pick = (first, last) => this.#set({ after: first.after, before: last.before });
    const out = () => this.#set({ after: undefined, before: undefined });
    const back = only && h('button', { type: 'button', class: 'small', click: out }, 'All years');
    return section('When', histogram(bars, chosen, pick), back);
  }

  #list(title, key, values) {
    const items = values.map(({ value, name, count }) => ({
      label: name || value, hint: value, count, pressed: this.filters[key] === value,
      pick: (on) => this.#set({ [key]: on ? value : undefined }),
    }));
    return choices(title, key, items);
  }

  #types(values) {
    const set = this.filters.types ?? [];
    const others = (value) => set.filter((type) => type !== value);
    const items = values.map(({ value, count }) => ({
      label: value, count, pressed: set.includes(value),
      pick: (on) => this.#set({ types: on ? [...set, value] : others(value) }),
    }));
    return choices('Type', 'type', items);
  }

  #places(cells) {
    const { near } = this.filters;
    const items = cells.map(({ latitude, longitude, count }) => ({
      label: placeName(latitude, longitude), hint: `Within ${CIRCLE_KM} km`, count,
      pressed: near?.latitude === latitude && near?.longitude === longitude,
      pick: (on) => this.#set({ near: on ? { latitude, longitude, km: CIRCLE_KM } : undefined }),
    }));
    return choices(`Place, within ${CIRCLE_KM} km`, 'near', items);
  }

  /** What is not counted: the shape, the size, the captions. */
  #fixed() {
    const one = (key, value, label) => ({
      label, pressed: this.filters[key] === value,
      pick: (on) => this.#set({ [key]: on ? value : undefined }),
    });
    const shapes = ['landscape', 'portrait', 'square'];
    return h('div', { class: 'fixed' },
      choices('Shape', 'shape', shapes.map((shape) => one('orientation', shape, capital(shape)))),
      choices('Width in pixels', 'width',
        WIDTHS.map((width) => one('min_width', width, `${amount(width)} or more`))),
      choices('Captions', 'captions',
        [one('captioned', true, 'With'), one('captioned', false, 'Without')]));
  }
}

const section = (title, ...children) => h('section', {}, h('h2', {}, title), ...children);
const spanName = (first, last) => (first === last ? first.name : `${first.name} to ${last.name}`);

/** Buttons that are on or off, the first few and the ones that are on at once. */
function choices(title, key, items) {
  if (!items.length) return null;
  const buttons = items.map(({ label, hint, count, pressed, pick }, at) =>
    h('button', {
      type: 'button', class: 'choice', 'aria-pressed': String(pressed), title: hint ?? label,
      'data-choice': `${key}:${hint ?? ''}${label}`, click: () => pick(!pressed),
      hidden: at >= FEW && !pressed,
    }, h('span', {}, label), count === undefined ? null : h('small', {}, amount(count))));
  const show = ({ target }) => {
    buttons.forEach((button) => button.toggleAttribute('hidden', false));
    buttons[FEW].focus();
    target.remove();
  };
  const more = items.length > FEW && h('button', { type: 'button', class: 'small', click: show },
    `All ${amount(items.length)}`);
  return section(title, h('div', { class: 'choices' }, ...buttons), more || null);
}

/**
 * Bars to click or to drag over. With the keyboard: arrows move, Shift stretches, Enter picks.
 *
 * @param {{after: string, before: string, name: string, count: number}[]} bars
 * @param {(bar: object) => boolean} chosen
 * @param {(first: object, last: object) => void} pick
 */
function histogram(bars, chosen, pick) {
  const most = Math.max(...bars.map(({ count }) => count));
  const says = h('output', { class: 'says' }, spanName(bars[0], bars.at(-1)));
  const range = { from: 0, to: 0 };
  const show = () => {
    const [low, high] = [range.from, range.to].toSorted((a, b) => a - b);
    buttons.forEach((button, at) => button.classList.toggle('chosen', at >= low && at <= high));
    const sum = bars.slice(low, high + 1).reduce((total, { count }) => total + count, 0);
    says.textContent = `${spanName(bars[low], bars[high])}: ${counted(sum, 'picture')}`;
    return [bars[low], bars[high]];
  };
  const move = (at, stretch) => {
    range.to = Math.max(0, Math.min(bars.length - 1, at));
    if (!stretch) range.from = range.to;
    buttons.forEach((button, one) => { button.tabIndex = one === range.to ? 0 : -1; });
    buttons[range.to].focus();
    show();
  };
  const buttons = bars.map((bar, at) => {
    const button = h('button', {
      type: 'button', class: `bar${chosen(bar) ? ' chosen' : ''}`, tabindex: at ? -1 : 0,
      'aria-label': `${bar.name}, ${counted(bar.count, 'picture')}`, 'data-choice': bar.after,
      // A pointer picks when it is lifted; what is left are the keys Enter and Space.
      click: (event) => {
        if (event.detail) return;
        if (range.to !== at) range.from = range.to = at;
        pick(...show());
      },
    }, h('span'));
    button.firstChild.style.blockSize = bar.count ? `max(3px, ${(100 * bar.count) / most}%)` : 0;
    return button;
  });
  const keys = { ArrowLeft: -1, ArrowRight: 1, Home: -bars.length, End: bars.length };
  const box = h('div', {
    class: 'histogram', role: 'group', 'aria-label': 'Pictures by date', keydown: (event) => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      move(buttons.indexOf(document.activeElement) + keys[event.key], event.shiftKey);
    },
  }, ...buttons);
  dragging(box, buttons, range, show, pick);
  return h('div', { class: 'when' }, box, says);
}

function dragging(box, buttons, range, show, pick) {
  const under = ({ clientX }) => {
    const { left, width } = box.getBoundingClientRect();
    const part = Math.max(0, Math.min(0.999, (clientX - left) / width));
    return Math.floor(part * buttons.length);
  };
  let held = false;
  box.addEventListener('pointerdown', (event) => {
    held = event.button === 0;
    if (!held) return;
    box.setPointerCapture(event.pointerId);
    range.from = under(event);
  });
  box.addEventListener('pointermove', (event) => {
    if (!held && event.pointerType !== 'mouse') return;
    range.to = under(event);
    if (!held) range.from = range.to;
    show();
  });
  box.addEventListener('pointerup', (event) => {
    if (!held) return;
    held = false;
    range.to = under(event);
    pick(...show());
  });
  box.addEventListener('pointercancel', () => { held = false; });
}

/** The month that a date lies in, of a year its first one. */
const startOf = (date) => (date.length === 4 ? `${date}-01` : date);

/** The year that a span of time does not leave, if there is one: its months can be told apart. */
function onlyYear(after, before) {
  const one = after?.slice(0, 4);
  return one && before && startOf(before) <= `${year(Number(one) + 1)}-01` ? one : null;
}

/** Every month from the first to the last, or just those there are if these lie far apart. */
function spanOf(months) {
  const values = months.map(({ value }) => value).toSorted();
  if (Number(values.at(-1).slice(0, 4)) - Number(values[0].slice(0, 4)) > YEARS_IN_A_ROW) {
    return values;
  }
  const span = [values[0]];
  while (span.at(-1) < values.at(-1)) span.push(nextMonth(span.at(-1)));
  return span;
}

function monthBars(months, span) {
  const counts = new Map(months.map(({ value, count }) => [value, count]));
  return span.map((value) => ({
    after: value, before: nextMonth(value), name: monthName(value), count: counts.get(value) ?? 0,
  }));
}

function yearBars(months) {
  const counts = new Map();
  const add = (one, count) => counts.set(one, (counts.get(one) ?? 0) + count);
  for (const value of spanOf(months)) add(value.slice(0, 4), 0);
  for (const { value, count } of months) add(value.slice(0, 4), count);
  return [...counts].map(([value, count]) => ({
    after: value, before: year(Number(value) + 1), name: value, count,
  }));
}

/** @param {import('./state.js').Filters} filters @returns {{label: string, keys: string[]}[]} */
export function chipsOf(filters) {
  const { after, before, camera, lens, near, folder, types, orientation, captioned } = filters;
  const { min_width: width, min_bytes: bytes } = filters;
  return [
    [after || before, () => datesName(after, before), 'after', 'before'],
    [camera, () => camera, 'camera'],
    [lens, () => lens, 'lens'],
    [folder, () => `In ${lastName(folder)}`, 'folder'],
    [near, () => `${near.km} km around ${placeName(near.latitude, near.longitude)}`, 'near'],
    [types?.length, () => types.join(' or '), 'types'],
    [orientation, () => capital(orientation), 'orientation'],
    [width, () => `${amount(width)} pixels wide or more`, 'min_width'],
    [bytes, () => `${amount(bytes)} bytes or more`, 'min_bytes'],
    [captioned !== undefined, () => `With${captioned ? '' : 'out'} captions`, 'captioned'],
  ].filter(([set]) => set).map(([, label, ...keys]) => ({ label: label(), keys }));
}
