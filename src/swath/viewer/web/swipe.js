"use strict";
// The line between two layers that are compared: it and its labels stay where the panel leaves the map free.

/** Where the line may stand: from, to in pixels of the screen. */
function swipeRoom() {
  const [, right, , left] = room(false);
  return [left + 16, innerWidth - right - 16];
}

function placeSwipe() {
  const swipe = byId("swipe");
  swipe.hidden = byId("sides").hidden = !state.compare;
  if (!state.compare) return;
  const [from, to] = swipeRoom();
  const at = Math.max(from, Math.min(to, state.split * innerWidth));
  state.split = at / innerWidth;
  swipe.style.left = byId("sides").style.left = `${at}px`;
  swipe.setAttribute("aria-valuenow", Math.round((100 * (at - from)) / (to - from)));
  const whole = (title) => title.replaceAll("-", "\u2011"); // no break within a date
  byId("side-left").textContent = whole(state.titleOf(state.show, state.date));
  byId("side-right").textContent = whole(state.titleOf(...state.comparePair()));
  placeLabel(byId("side-left"), Math.max(0, byId("side-left").offsetWidth + 12 - (at - from + 16)));
  placeLabel(byId("side-right"), -Math.max(0, byId("side-right").offsetWidth + 12 - (to + 16 - at)));
}

/** Beside the line; where there is no room beside it, above the other label. */
function placeLabel(label, by) {
  label.style.transform = by && innerWidth > 720 ? `translate(${by}px, -34px)` : "";
}

function split(share) {
  state.split = share;
  placeSwipe();
  site.map.render();
}

function listenToSwipe() {
  const swipe = byId("swipe");
  swipe.addEventListener("pointerdown", (event) => swipe.setPointerCapture(event.pointerId));
  swipe.addEventListener("pointermove", (event) => swipe.hasPointerCapture(event.pointerId) && split(event.clientX / innerWidth));
  swipe.addEventListener("pointerup", keepLink);
  swipe.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (by) {
      event.preventDefault();
      event.stopPropagation();
      split(state.split + by);
      keepLink();
    }
  });
  addEventListener("resize", placeSwipe);
}
