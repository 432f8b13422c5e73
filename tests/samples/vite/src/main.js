import "./style.css";

const VERSION = "1";

document.querySelector("#version").textContent = `version ${VERSION}, built with ${import.meta.env.VITE_GREETING ?? "nothing"}`;
