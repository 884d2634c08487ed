/** Elements, icons and popovers; words for numbers, dates and places, and for what was found. */

import { browses, isFiltered } from './state.js';

const SVG = 'http://www.w3.org/2000/svg';
const numbers = new Intl.NumberFormat('en');

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/**
 * An element. Attributes that are functions listen to the event they are named after; null,
 * undefined and false leave an attribute out; `value` and `checked` are set as properties.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node|string|number|null|undefined)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (name === 'value' || name === 'checked') continue;
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map(node));
  // After the children and the other attributes: a range's value is cut to its bounds.
  if ('value' in attributes) element.value = attributes.value;
  if ('checked' in attributes) element.checked = attributes.checked;
  return element;
}

const node = (child) => (child instanceof Node ? child : String(child));

/** An icon of the page's sprite; the control that carries it has the name. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon and a name that is read aloud and shown on hover. */
export function iconButton(name, label, click, attributes = {}) {
  return h(
    'button',
    { type: 'button', class: 'bare', 'aria-label': label, title: label, click, ...attributes },
    icon(name),
  );
}

/** 12345 as 12,345. @param {number} number */
export const amount = (number) => numbers.format(number);

/** @param {number} number @param {string} one @param {string} [many] */
export const counted = (number, one, many = `${one}s`) =>
  `${amount(number)} ${number === 1 ? one : many}`;

/** The last name of a path, whatever its separators. @param {string} path */
export const lastName = (path) => path.split(/[/\\]/).filter(Boolean).at(-1) ?? path;

const directions = (degrees, positive, negative) =>
  `${Math.abs(degrees).toFixed(1)}° ${degrees < 0 ? negative : positive}`;

/** 48.2° N, 16.4° E. @param {number} latitude @param {number} longitude */
export const placeName = (latitude, longitude) =>
  `${directions(latitude, 'N', 'S')}, ${directions(longitude, 'E', 'W')}`;

/** July 2024, of 2024-07. @param {string} month */
export function monthName(month) {
  const [year, number] = month.split('-').map(Number);
  const date = new Date(Date.UTC(2000, number - 1, 1));
  date.setUTCFullYear(year);
  return date.toLocaleDateString('en', { month: 'long', year: 'numeric', timeZone: 'UTC' });
}

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A year as dates write it. @param {number} number */
export const year = (number) => String(number).padStart(4, '0');

/** 2024-08, of 2024-07. @param {string} month */
export function nextMonth(month) {
  const [y, m] = month.split('-').map(Number);
  return m === 12 ? `${year(y + 1)}-01` : `${year(y)}-${String(m + 1).padStart(2, '0')}`;
}

/** The twelve months of a year. @param {string} one */
export const monthsOf = (one) =>
  Array.from({ length: 12 }, (_, at) => `${one}-${String(at + 1).padStart(2, '0')}`);

/**
 * A span of time; `before` itself is not included: 2024-07 to 2024-09 is July and August.
 *
 * @param {string} [after] @param {string} [before]
 */
export function datesName(after, before) {
  const first = after && dateName(after);
  const last = before && dateName(dayBefore(before));
  if (!last) return `Since ${first}`;
  if (!first) return `Until ${last}`;
  if (first === last) return first;
  const year = last.slice(-5); // " 2018": said once where it is that of both months
  return `${/^[A-Z]/.test(first) && first.endsWith(year) ? first.slice(0, -5) : first} to ${last}`;
}

const dateName = (date) => (/^\d{4}-\d\d$/.test(date) ? monthName(date) : date.replace('T', ' '));

function dayBefore(date) {
  if (/^\d{4}$/.test(date)) return year(Number(date) - 1);
  const end = new Date(`${/^\d{4}-\d\d$/.test(date) ? `${date}-01` : date.slice(0, 10)}T00:00:00Z`);
  if (Number.isNaN(end.valueOf()) || date.length > 10) return date;
  end.setUTCDate(end.getUTCDate() - 1);
  return end.toISOString().slice(0, date.length);
}

/**
 * Say something above the pictures, until it is dismissed or the next search.
 *
 * @param {string} text
 * @param {{label: string, run: () => void}} [action] what can be done about it
 */
export function say(text, action) {
  const run = () => {
    hush();
    action.run();
  };
  byId('message').replaceChildren(
    h('span', {}, text),
    action ? h('button', { type: 'button', click: run }, action.label) : '',
    iconButton('close', 'Dismiss', hush),
  );
}

/** Take the message away. */
export const hush = () => byId('message').replaceChildren();

/**
 * Let a button open a popover below itself; on narrow screens the style makes it a sheet.
 *
 * @param {HTMLElement} button
 * @param {HTMLElement} popover
 * @param {() => void} [opened]
 */
export function popsUp(button, popover, opened) {
  button.popoverTargetElement = popover;
  button.setAttribute('aria-expanded', 'false');
  popover.addEventListener('toggle', (event) => {
    const open = event.newState === 'open';
    button.setAttribute('aria-expanded', String(open));
    if (!open) return;
    opened?.();
    place(popover, button);
  });
  addEventListener('resize', () => popover.matches(':popover-open') && place(popover, button));
}

function place(popover, button) {
  const from = button.getBoundingClientRect();
  const room = document.documentElement.clientWidth - popover.offsetWidth - 8;
  // Flush with the button's left side, or with its right one where there is no room.
  const left = from.left <= room ? from.left : from.right - popover.offsetWidth;
  popover.style.left = `${Math.max(8, left) + scrollX}px`;
  popover.style.top = `${from.bottom + 6 + scrollY}px`;
}

/** Call once things have been quiet for a while. @param {() => void} run @param {number} ms */
export function settled(run, ms) {
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(run, ms);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/**
 * The line above the pictures.
 *
 * @param {import('./state.js').State} state @param {object} result
 */
export function statusOf(state, { judged, good_match: good, found, total, query, hits }) {
  if (!hits.length) return '';
  if (browses(state)) return `${counted(total, 'picture')}, newest first`;
  if (judged && good === false) {
    return `No good match for “${query || state.text}”. The nearest pictures are below.`;
  }
  const all = counted(found ?? total, 'picture');
  const arranged = state.sort === 'date' || state.group || state.minRelevance;
  return arranged ? all : `${all}, best match first`;
}

/**
 * What to do where there is nothing to see.
 *
 * @param {import('./state.js').State} state @param {object} result
 * @param {(change: object) => void} ask
 */
export function showEmpty(state, { hits, total }, ask) {
  const empty = byId('empty');
  empty.hidden = hits.length > 0;
  const button = (label, change) =>
    h('button', { type: 'button', class: 'main', click: () => ask(change) }, label);
  if (!empty.hidden) empty.replaceChildren(...emptyWords(state, total, button));
}

function emptyWords(state, total, button) {
  if (!total && isFiltered(state)) {
    return [h('h2', {}, 'No picture passes these filters'),
      button('Remove the filters', { filters: {} })];
  }
  if (!total) {
    return [h('h2', {}, 'There are no pictures in this index yet'),
      h('p', {}, 'Add a folder in a terminal. The pictures are only read, never changed.'),
      h('pre', {}, h('code', {}, 'searchengine index ~/Pictures'))];
  }
  if (state.minRelevance) {
    return [h('h2', {}, `No ${state.minRelevance} match`),
      button('Show the nearest pictures', { minRelevance: null })];
  }
  return [h('h2', {}, 'Nothing found'), h('p', {}, 'Try other words, or fewer.')];
}

/**
 * The copies that a hit stands for, each to be opened.
 *
 * @param {{id: number, name: string, path: string, copies: number[]}} hit
 * @param {import('./api.js').Api} api
 */
export function showCopies(hit, api) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('copies'));
  const all = [hit.id, ...hit.copies];
  byId('copies-title').textContent = `${counted(all.length, 'copy', 'copies')} of ${hit.name}`;
  byId('copies-list').replaceChildren(...all.map((id) => {
    const path = h('code', {}, id === hit.id ? hit.path : '');
    if (id !== hit.id) api.image(id).then((image) => path.append(image.path), () => {});
    const picture = h('img', { src: api.thumbnail(id, 'small'), alt: '', loading: 'lazy' });
    return h('li', {}, h('a', { href: api.original(id), target: '_blank' }, picture, path));
  }));
  dialog.showModal();
}
