"""Write iris flowers, not told apart yet, as CSV files into flowers/: what the batch examples score."""

from pathlib import Path

from sklearn.datasets import load_iris

iris = load_iris(as_frame=True).data
flowers = iris.rename(columns=lambda name: name.replace(" (cm)", "").replace(" ", "_"))
flowers.insert(0, "id", range(1, len(flowers) + 1))

folder = Path("flowers")
folder.mkdir(exist_ok=True)
for number in range(3):
    flowers[number::3].to_csv(folder / f"{number + 1}.csv", index=False)
print(f"flowers/: {len(flowers)} flowers in 3 files")
