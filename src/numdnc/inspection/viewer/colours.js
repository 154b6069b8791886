// Colours of both themes. Lightness is monotonic along each map, so that it can be read without hues; signed maps run
// from blue to orange, which colour-blind people can distinguish.

const THEMES = {
  light: {
    sequential: ["#ffffff", "#dbe7f2", "#a6c4e0", "#5f93c6", "#2a629e", "#132f52"],
    diverging: ["#8a3a00", "#dd7f2e", "#f8dfc4", "#ffffff", "#cbdff0", "#4a8ac4", "#103b68"],
    ink: "#1c2733",
    faint: "#6b7683",
    line: "#d5dae0",
    cursor: "#d0541b",
    edited: "#d6006e",
    blank: "#eef0f2",
    wrong: "#c3222e",
    lost: "#c94fb0",
    heads: ["#00805f", "#a03a86", "#7a6200", "#3d4fb0", "#8c4a2f", "#11798a"],
  },
  dark: {
    sequential: ["#14181d", "#1b3450", "#245e8c", "#3f92bd", "#94cbd2", "#fbf8dc"],
    diverging: ["#ffc58a", "#d2761f", "#5b3412", "#14181d", "#16395a", "#3587cb", "#b4dcff"],
    ink: "#dfe5ea",
    faint: "#8d98a5",
    line: "#303841",
    cursor: "#ff9a52",
    edited: "#ff5fa8",
    blank: "#20262d",
    wrong: "#ff6a70",
    lost: "#ff86e4",
    heads: ["#41d6a8", "#f39bd2", "#e6d24a", "#a3b2ff", "#e0a58a", "#6fd6e6"],
  },
};
const SHADES = 256;
const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = null;

function useTheme(name) {
  theme = { ...THEMES[name], name };
  theme.sequentialShades = shades(theme.sequential);
  theme.divergingShades = shades(theme.diverging);
  document.documentElement.style.colorScheme = name;
}

/** Red, green and blue of a map in SHADES steps from its first colour to its last. */
function shades(stops) {
  const parts = stops.map((stop) => [1, 3, 5].map((start) => parseInt(stop.slice(start, start + 2), 16)));
  return Array.from({ length: SHADES }, (_, shade) => {
    const place = (shade / (SHADES - 1)) * (parts.length - 1);
    const left = Math.min(Math.floor(place), parts.length - 2);
    return parts[left].map((part, k) => Math.round(part + (place - left) * (parts[left + 1][k] - part)));
  });
}

/** Red, green and blue of a value between two limits; `lost` if it is not a number. */
function shadeOf(value, [low, high], signed) {
  const map = signed ? theme.divergingShades : theme.sequentialShades;
  if (Number.isNaN(value)) return [1, 3, 5].map((start) => parseInt(theme.lost.slice(start, start + 2), 16));
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return map[Math.round(share * (SHADES - 1))];
}

const colourOf = (value, limits, signed) => `rgb(${shadeOf(value, limits, signed).join(" ")})`;
const headColour = (head) => theme.heads[head % theme.heads.length];
