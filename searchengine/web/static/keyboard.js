/** Keys of the whole page, and the theme. Those of the grid and the viewer are theirs. */

import { byId } from './dom.js';

const THEME = 'searchengine.theme';

/**
 * @param {{focusBox: () => void, undo: () => void}} on
 */
export function listen(on) {
  const help = /** @type {HTMLDialogElement} */ (byId('help'));
  byId('help-button').addEventListener('click', () => help.showModal());
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key === 'Escape') return leaveFocus(event);
    if (writes(event.target)) return;
    if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !event.shiftKey) {
      if (!modal()) on.undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '?' && !help.open) help.showModal();
    else if (event.key === '/' && !modal()) on.focusBox();
    else return;
    event.preventDefault();
  });
}

const modal = () => document.querySelector('dialog:modal') !== null;

/** Whether keys are text there; ranges, checkboxes and the like take none. */
const writes = (element) =>
  element.isContentEditable ||
  element.matches('textarea, select, input:not([type=range], [type=checkbox], [type=radio])');

/** Dialogs and menus close by themselves. */
function leaveFocus(event) {
  if (modal() || document.querySelector(':popover-open')) return;
  if (event.target === document.body) return;
  event.preventDefault(); // some browsers would empty the box
  event.target.blur();
}

/** Light or dark as the system says, until the button is pressed; that is remembered. */
export function themes() {
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const now = () => root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
  const button = byId('theme');
  const show = () => button.setAttribute('aria-pressed', String(now() === 'dark'));
  const kept = remembered();
  if (kept === 'light' || kept === 'dark') root.dataset.theme = kept;
  show();
  dark.addEventListener('change', show);
  button.addEventListener('click', () => {
    const system = dark.matches ? 'dark' : 'light';
    const next = now() === 'dark' ? 'light' : 'dark';
    // Back at what the system says, it may lead again.
    if (next === system) delete root.dataset.theme;
    else root.dataset.theme = next;
    remember(next === system ? null : next);
    show();
  });
}

// Storage may be forbidden; then the choice lasts as long as the page.
function remembered() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null;
  }
}

function remember(theme) {
  try {
    if (theme) localStorage.setItem(THEME, theme);
    else localStorage.removeItem(THEME);
  } catch {
    // kept for this page only
  }
}
