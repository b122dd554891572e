"""Shaded solids before a photo, drawn with NumPy: the renderer behind :mod:`tutorial_utils.solids`.

Each solid is a signed distance function: how far a point is from the surface, negative inside.
A ray finds the surface by stepping that far again and again ("sphere tracing"). Colour, pattern,
pose, size, light and background are drawn independently of the class: only the shape tells it.

The pixels are the same on every machine. The arithmetic is + - * / and square roots of float64
arrays, element by element, which IEEE 754 fixes to the last bit. It does not fix sines, powers or
the order in which a matrix product or a sum adds up, so there are none: powers are products, and
rotations come from quaternions.
"""

from functools import cache

import numpy as np
from skimage import data

BACKGROUNDS = ("photos", "plain", "checker")
# scikit-image's photos that are stored without loss; a JPEG may decode differently elsewhere.
PHOTOS = ("astronaut", "brick", "chelsea", "coffee", "grass", "gravel")
REACH = 1.45  # every solid lies within this distance of its centre


# --- The solids: arrays x, y, z in the solid's own frame; h is half its height. ---


def dot(a, b):
    """Return the dot product of two vectors; their components may be arrays."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def length(*components):
    """Return the Euclidean length, for components that may be arrays."""
    return np.sqrt(sum(c * c for c in components))


def unit(v):
    """Return the vector scaled to length 1."""
    return v / length(*v)


def rounded(*distances, edge=0.08):
    """Intersect solids: the largest distance, smoothed so that edges are round and catch light."""
    largest = distances[0]
    for d in distances[1:]:
        blend = np.maximum(edge - np.abs(largest - d), 0.0)
        largest = np.maximum(largest, d) + blend * blend / (4 * edge)
    return largest


def capsule(x, y, z, h):
    """Distance to all points within 0.45 of a line segment."""
    return length(x, y - np.clip(y, 0.45 - 1.15 * h, 1.15 * h - 0.45), z) - 0.45


def cone(x, y, z, h):
    """Distance to a cone with its tip up and a base of radius 0.8."""
    slant = length(2 * h, 0.8)
    return rounded((length(x, z) * 2 * h + (y - h) * 0.8) / slant, -y - h)


def cube(x, y, z, h):
    """Distance to a cube; its edge is 1.24 whatever ``h`` is."""
    return rounded(np.abs(x) - 0.62, np.abs(y) - 0.62, np.abs(z) - 0.62)


def cylinder(x, y, z, h):
    """Distance to a cylinder of radius 0.6."""
    return rounded(length(x, z) - 0.6, np.abs(y) - 0.85 * h)


def octahedron(x, y, z, h):
    """Distance to a regular octahedron."""
    a, b = np.abs(x), np.abs(z)
    top, bottom = a + b + y, a + b - y
    return rounded(top - 1.1, bottom - 1.1) * np.sqrt(1 / 3)


def pyramid(x, y, z, h):
    """Distance to a pyramid with its tip up and a square base of side 1.3."""
    slant = length(2 * h, 0.65)
    sides = [(side * 2 * h + (y - h) * 0.65) / slant for side in (np.abs(x), np.abs(z))]
    return rounded(*sides, -y - h)


def sphere(x, y, z, h):
    """Distance to a sphere of radius 0.85."""
    return length(x, y, z) - 0.85


def torus(x, y, z, h):
    """Distance to a ring; its tube is thicker where ``h`` is larger."""
    return length(length(x, z) - 0.8, y) - 0.27 * h


# For each solid its distance, and how far it reaches in the unit direction (x, y, z).
SOLIDS = {
    "capsule": (capsule, lambda x, y, z, h: (1.15 * h - 0.45) * abs(y) + 0.45),
    "cone": (cone, lambda x, y, z, h: max(h * y, 0.8 * length(x, z) - h * y)),
    "cube": (cube, lambda x, y, z, h: 0.62 * (abs(x) + abs(y) + abs(z))),
    "cylinder": (cylinder, lambda x, y, z, h: 0.85 * h * abs(y) + 0.6 * length(x, z)),
    "octahedron": (octahedron, lambda x, y, z, h: 1.1 * max(abs(x), abs(y), abs(z))),
    "pyramid": (pyramid, lambda x, y, z, h: max(h * y, 0.65 * (abs(x) + abs(z)) - h * y)),
    "sphere": (sphere, lambda x, y, z, h: 0.85),
    "torus": (torus, lambda x, y, z, h: 0.8 * length(x, z) + 0.27 * h),
}
CLASSES = tuple(sorted(SOLIDS))


# --- Rays, textures and backgrounds. Points are arrays of shape (3, N), colours too. ---


def between(rng, low, high, *shape):
    """Draw uniformly from low to high."""
    return low + (high - low) * rng.random(shape or None)


def fraction(x):
    """Return what is right of the decimal point: a saw-tooth from 0 to 1."""
    return x - np.floor(x)


def random_rotation(rng):
    """Return a uniformly random rotation matrix, by way of a random unit quaternion."""
    q = between(rng, -1, 1, 4)
    while not 0.01 < sum(q * q) < 1:
        q = between(rng, -1, 1, 4)
    w, x, y, z = q / np.sqrt(sum(q * q))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotate(matrix, points):
    """Apply a 3 x 3 matrix to points (no matrix product: those may round differently)."""
    return np.stack([dot(row, points) for row in matrix])


def random_colour(rng, saturation, value):
    """Return a random hue as linear light, shape (3, 1)."""
    thirds = rng.random() + np.array([0.0, 2 / 3, 1 / 3])
    ramp = np.abs(fraction(thirds) * 6 - 3) - 1
    colour = value * (1 - saturation + saturation * np.clip(ramp, 0, 1))
    return (colour * colour)[:, None]


def trace(distance, origin, ray):
    """Return for each ray how far the surface is (infinity where it is missed)."""
    middle = -dot(origin, ray)  # where the ray is nearest to the centre
    gap = REACH * REACH - (dot(origin, origin) - middle * middle)
    hit = np.full(ray.shape[1], np.inf)
    active = np.flatnonzero(gap > 0)  # the rays that pass through the bounding ball
    t, end = (middle + s * np.sqrt(np.maximum(gap, 0)) for s in (-1, 1))
    t, end = t[active], end[active]
    for _ in range(64):
        step = distance(origin + t * ray[:, active])
        hit[active[step < 1e-3]] = t[step < 1e-3]
        t = t + step
        alive = (step >= 1e-3) & (t < end)
        active, t, end = active[alive], t[alive], end[alive]
        if not active.size:
            break
    return hit


def light_reaching(distance, origin, light):
    """Return the share of light at each point: near misses give a soft edge of the shadow."""
    middle = -dot(origin, light)
    gap = 2 * REACH * REACH - (dot(origin, origin) - middle * middle)
    half = np.sqrt(np.maximum(gap, 0))
    share = np.ones(origin.shape[1])
    active = np.flatnonzero((gap > 0) & (middle + half > 0))
    t, end = np.maximum(middle - half, 0.03)[active], (middle + half)[active]
    for _ in range(32):
        step = distance(origin[:, active] + t * light)
        share[active] = np.minimum(share[active], np.maximum(6 * step / t, 0))
        t = t + np.clip(step, 0.03, 0.4)
        alive = (step > 1e-3) & (t < end)
        active, t, end = active[alive], t[alive], end[alive]
        if not active.size:
            break
    return share * share * (3 - 2 * share)


def pattern(rng, points):
    """Paint points of the solid with two random colours in a random pattern."""
    first, second = (
        random_colour(rng, between(rng, 0.15, 0.7), between(rng, 0.5, 0.95)) for _ in range(2)
    )
    kind = rng.choice(["plain", "plain", "stripes", "checks", "spots", "marble"])
    points = rotate(random_rotation(rng), points) * between(rng, 1.2, 2.4) + between(rng, 0, 1)
    if kind == "stripes":
        side = np.abs(fraction(points[0]) - 0.5) - 0.25
    elif kind == "checks":
        x, y, z = np.abs(fraction(points / 2) - 0.5) - 0.25
        side = np.where(x * y * z > 0, 1.0, -1.0)
    elif kind == "spots":
        side = 0.33 - length(*(fraction(points) - 0.5))
    elif kind == "marble":  # random values at whole coordinates, blended in between
        values, cell, within = rng.random((8, 8, 8)), np.floor(points).astype(int), fraction(points)
        within = within * within * (3 - 2 * within)
        side = np.full(points.shape[1], -0.5)
        for corner in np.ndindex(2, 2, 2):
            x, y, z = (w if c else 1 - w for c, w in zip(corner, within, strict=True))
            i, j, k = ((cell[axis] + corner[axis]) & 7 for axis in range(3))
            side = side + x * y * z * values[i, j, k]
        side = side * 0.4
    else:
        side = np.full(points.shape[1], 1.0)
    share = np.clip(side * 8 + 0.5, 0, 1)
    return first * share + second * (1 - share)


@cache
def photo(name):
    """Return one of scikit-image's photos at half its size, as linear light of shape (3, H, W)."""
    pixels = getattr(data, name)() / 255.0
    pixels = np.stack([pixels] * 3) if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    linear = pixels * pixels
    half = [linear[:, i:-1:2, j:-1:2] for i in (0, 1) for j in (0, 1)]
    height, width = (min(h.shape[axis] for h in half) for axis in (1, 2))
    return sum(h[:, :height, :width] for h in half) / 4


def sample(image, u, v):
    """Look up an image at columns u and rows v, in pixels; it goes on mirrored beyond its edges."""
    _, height, width = image.shape
    u = (1 - np.abs(1 - 2 * fraction(u / (2 * width)))) * (width - 1.001)
    v = (1 - np.abs(1 - 2 * fraction(v / (2 * height)))) * (height - 1.001)
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    b, a = v - i, u - j
    top = image[:, i, j] * (1 - a) + image[:, i, j + 1] * a
    return top * (1 - b) + (image[:, i + 1, j] * (1 - a) + image[:, i + 1, j + 1] * a) * b


def scenery(rng, background, u, v, names):
    """Return the colours, as linear light, of a ground or a wall with coordinates u and v."""
    first = random_colour(rng, between(rng, 0.05, 0.4), between(rng, 0.75, 1))
    second = random_colour(rng, between(rng, 0.1, 0.4), between(rng, 0.3, 0.7))
    name, scale = rng.choice(names), between(rng, 20, 45)
    shift = between(rng, 0, 400, 2)
    if background == "photos":
        colours = sample(photo(name), u * scale + shift[0], v * scale + shift[1])
        tint = 0.5 + first if name in ("brick", "grass", "gravel") else 1.0
        return colours * tint
    if background == "plain":
        share = np.clip(0.5 + (v + u / 2) / 8, 0, 1)
    else:
        x, y = (np.abs(fraction(w * scale / 80) - 0.5) - 0.25 for w in (u, v))
        share = np.clip(0.5 + x * y * 800, 0, 1)
    return first * (1 - share) + second * share


# --- The image. ---


def check_scene(size, background):
    """Raise a ValueError where an image cannot be rendered."""
    if size < 16:
        raise ValueError(f"size is {size}; an image needs at least 16 pixels a side.")
    if background not in BACKGROUNDS:
        raise ValueError(f"no background {background!r}; choose one of {', '.join(BACKGROUNDS)}.")


def camera(rng, size):
    """Return where the camera is, (3, 1), and its rays, four to a pixel: (3, 4 * size * size)."""
    eye = 5 * unit(np.array([0.0, between(rng, 0.15, 0.8), 1.0]))[:, None]
    zoom = between(rng, 0.6, 0.8)
    shift = between(rng, -0.6, 0.6, 2) * (1 - zoom)  # moves the solid out of the middle
    row, column = (a.ravel() for a in np.indices((2 * size, 2 * size)))
    right = (column + 0.5) / size - 1 - shift[0]
    up = 1 - (row + 0.5) / size - shift[1]
    _, y, z = eye / 5
    return eye, unit(np.stack([right, up * z - 5 * zoom * y, -up * y - 5 * zoom * z]))


def shade(rng, distance, paint, points, ray, light, ground):
    """Return the colours of points on the solid: diffuse light, sky light and a highlight."""
    steps = 1e-4 * np.eye(3)[:, :, None]
    normal = unit(np.stack([distance(points + s) - distance(points - s) for s in steps]))
    lit = np.maximum(dot(normal, light), 0)
    lit = lit * light_reaching(distance, points + 0.02 * normal, light)
    near_ground = np.clip(0.5 + (points[1] - ground) / 0.8, 0, 1)  # little sky is seen from there
    sky = (0.2 + 0.12 * normal[1]) * near_ground
    shine = np.maximum(dot(normal, unit(light - ray)), 0)
    for _ in range(5):
        shine = shine * shine  # to the power of 32
    return paint * (0.95 * lit + sky) + between(rng, 0, 0.5) * shine * lit


def render_solid(
    kind: str, seed: int, size: int = 96, background: str = "photos"
) -> tuple[np.ndarray, np.ndarray]:
    """Render one solid; the same seed gives the same solid on every background.

    Args:
        kind: one of ``CLASSES``.
        seed: draws everything else: pose, size, place, colours, pattern, light and background.
        size: of the image, in pixels.
        background: one of ``BACKGROUNDS``.

    Returns:
        The image, (size, size, 3) of uint8, and the mask, (size, size) of bool: True on the solid.

    Raises:
        ValueError: ``kind`` or ``background`` is unknown, or ``size`` is below 16.
    """
    if kind not in CLASSES:
        raise ValueError(f"no solid {kind!r}; choose one of {', '.join(CLASSES)}.")
    check_scene(size, background)
    rng, scene_rng = (np.random.Generator(np.random.PCG64([seed, part])) for part in (0, 1))

    # The solid is turned at random and stands on the ground with its lowest point.
    surface, reach = SOLIDS[kind]
    pose, half_height = random_rotation(rng), between(rng, 0.85, 1.1)
    ground = -reach(*-pose[1], half_height)

    def distance(points):
        return surface(*rotate(pose.T, points), half_height)

    eye, ray = camera(rng, size)
    side = between(rng, 0.4, 1.4) * rng.choice([-1, 1])
    light = unit(np.array([side, 1.0, between(rng, -0.2, 0.8)]))[:, None]

    # The ground and a wall behind, each where it is nearer; both catch the solid's shadow.
    wall = unit(np.array([between(scene_rng, -0.3, 0.3), 0.0, 1.0]))
    to_wall = (-between(scene_rng, 1.5, 4) - dot(wall, eye)) / dot(wall, ray)
    to_ground = np.where(ray[1] < 0, (ground - eye[1]) / np.minimum(ray[1], -1e-9), np.inf)
    points = eye + np.minimum(to_ground, to_wall) * ray
    x, y, z = points
    colours = np.where(
        to_ground < to_wall,
        scenery(scene_rng, background, x, z, ("brick", "grass", "gravel")),
        scenery(scene_rng, background, x, -y, PHOTOS),
    )
    contact = np.clip(distance(points) / 0.5, 0, 1)
    colours = colours * (0.2 + 0.2 * contact + 0.6 * light_reaching(distance, points, light))

    # The solid in front of them.
    to_solid = trace(distance, eye, ray)
    on_solid = to_solid < np.inf
    ray = ray[:, on_solid]
    points = eye + to_solid[on_solid] * ray
    paint = pattern(rng, rotate(pose.T, points))
    colours[:, on_solid] = shade(rng, distance, paint, points, ray, light, ground)

    # Four rays make a pixel. The square root undoes the squares of random_colour and photo.
    grid = colours.reshape(3, size, 2, size, 2)
    top, bottom = (grid[:, :, i, :, 0] + grid[:, :, i, :, 1] for i in (0, 1))
    image = np.floor(255 * np.sqrt(np.clip((top + bottom) / 4, 0, 1)) + 0.5).astype(np.uint8)
    mask = on_solid.reshape(size, 2, size, 2).sum((1, 3)) >= 2
    return np.ascontiguousarray(np.moveaxis(image, 0, 2)), mask
