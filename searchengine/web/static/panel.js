/**
 * What is known of a picture, and where to go from it.
 *
 * @typedef {{id: number, path: string, name: string, bytes: number, format: string, width: number,
 *   height: number, taken_at: string|null, camera: string|null, lens: string|null,
 *   latitude: number|null, longitude: number|null, captions: string[]}} Facts
 */

import { amount, h } from './dom.js';
import { dateWords } from './layout.js';

const NEAR_KM = 20;

/** @param {Facts} facts @param {import('./viewer.js').ViewerOptions} options @returns {Node[]} */
export function panelOf(facts, options) {
  const place = facts.latitude === null || facts.longitude === null ? ''
    : `${facts.latitude.toFixed(5)}, ${facts.longitude.toFixed(5)}`;
  const rows = [
    ['Date', dateWords(facts.taken_at, { dateStyle: 'full', timeStyle: 'short' })],
    ['Size', `${amount(facts.width)} × ${amount(facts.height)}, ${sizeWords(facts.bytes)}`],
    ['Format', facts.format], ['Camera', facts.camera], ['Lens', facts.lens],
    ['Place', place, true], ['Path', facts.path, true],
  ].filter(([, words]) => words);
  return [
    ...facts.captions.map((caption) => h('p', { class: 'viewer-caption' }, caption)),
    h('dl', {}, ...rows.flatMap(([label, words, copied]) => [h('dt', {}, label),
      h('dd', {}, h('span', {}, words), ...(copied ? copier(label.toLowerCase(), words) : []))])),
    h('div', { class: 'viewer-actions' }, ...actionsOf(facts, options)),
  ];
}

function actionsOf(facts, { onMore, onLess, onFilter, original }) {
  const action = (words, click) => h('button', { type: 'button', click }, words);
  const filter = (words, filters) => action(words, () => onFilter(filters));
  const { id, taken_at: taken, latitude, longitude, camera, path } = facts;
  return [
    action('More like this', () => onMore(id)),
    action('Less like this', () => onLess(id)),
    taken ? filter('Same day', dayOf(taken)) : null,
    latitude !== null && longitude !== null
      ? filter('Same place', { near: { latitude, longitude, km: NEAR_KM } }) : null,
    camera ? filter('Same camera', { camera }) : null,
    filter('Same folder', { folder: path.replace(/[/\\][^/\\]*$/, '') || '/' }),
    h('a', { href: original(id), target: '_blank', rel: 'noopener' }, 'Open original'),
  ];
}

/** The filters that only the day of a moment passes: `before` is the day after it. */
function dayOf(taken) {
  const next = new Date(`${taken.slice(0, 10)}T00:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return { after: taken.slice(0, 10), before: next.toISOString().slice(0, 10) };
}

function sizeWords(bytes) {
  const [unit, name] = bytes < 1e6 ? [1e3, 'KB'] : [1e6, 'MB'];
  return `${(bytes / unit).toFixed(bytes < 1e6 ? 0 : 1)} ${name}`;
}

/** A button that copies; where the page may not, it selects the words for Ctrl+C. */
function copier(what, words) {
  const said = h('span', { class: 'unseen', role: 'status' });
  const copy = async ({ currentTarget: button }) => {
    const copied = navigator.clipboard?.writeText(words).then(() => true, () => false);
    const told = (await copied) ? 'Copied' : 'Press Ctrl+C';
    if (told !== 'Copied') getSelection().selectAllChildren(button.previousSibling);
    button.textContent = told;
    said.textContent = told;
  };
  const label = `Copy ${what}`;
  return [h('button', { type: 'button', 'aria-label': label, click: copy }, 'Copy'), said];
}
