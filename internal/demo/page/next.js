// A code to scan, by which a room joins in: each who opens the page has clients and
// a network of their own.

/** Where the code leads when nobody else can reach this page. */
const PROJECT = "https://github.com/wsresilience/wsresilience";

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Shows the code, for the address in the input. `others` is what the server knows of itself, "" if nothing. */
export function showCode(input, picture, others) {
  const here = location.origin + location.pathname;
  input.value = LOOPBACK.test(location.hostname) ? others || PROJECT : here;
  const draw = () => {
    if (input.value !== "") {
      picture.src = `code.svg?text=${encodeURIComponent(input.value)}`;
      picture.alt = `A code to scan, which leads to ${input.value}`;
    }
  };
  input.addEventListener("change", draw);
  draw();
}
