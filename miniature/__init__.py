"""`make paper-mini`: the paper's comparisons on drawn rooms, small, several times over. Used by paper_mini.py only."""
